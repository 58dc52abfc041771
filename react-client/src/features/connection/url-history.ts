import { remember, remembered } from '../../lib/remembered';

const STORAGE_KEY = 'echo-trio.addresses';
const KEPT = 20;

/** Addresses that answered, the latest first. */
export function addressesUsed(): readonly string[] {
  try {
    const kept: unknown = JSON.parse(remembered(STORAGE_KEY) ?? '[]');
    return Array.isArray(kept) ? kept.filter((one) => typeof one === 'string') : [];
  } catch {
    return [];
  }
}

export function rememberAddress(url: string): void {
  const others = addressesUsed().filter((one) => one !== url);
  remember(STORAGE_KEY, JSON.stringify([url, ...others].slice(0, KEPT)));
}

export function forgetAddresses(): void {
  remember(STORAGE_KEY, '[]');
}
