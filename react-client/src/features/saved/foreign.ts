/** Turn what other tools have into what we have. */
import type { SavedMessage } from './model';

/** Headers that say who one is: an export should not. */
const CREDENTIALS =
  /^(?:authorization|proxy-authorization|cookie|(?:x-)?(?:api-?key|auth-?token|access-token))$/i;

export function isCredential(headerName: string): boolean {
  return CREDENTIALS.test(headerName.trim());
}

/** A text as a message: as JSON where it is an object or an array of it. */
export function messageOf(name: string, text: string): SavedMessage {
  return { name, mode: isJsonTree(text) ? 'json' : 'text', text };
}

export function binaryMessageOf(name: string, bytes: Uint8Array): SavedMessage {
  const text = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return { name, mode: 'binary', text };
}

function isJsonTree(text: string): boolean {
  if (!/^\s*[[{]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The address with further parameters, which may hold variables in braces. */
export function withQuery(
  address: string,
  query: readonly (readonly [name: string, value: string])[],
): string {
  if (query.length === 0) return address;
  const [beforeHash = ''] = address.split('#', 1);
  const separator = beforeHash.includes('?') ? '&' : '?';
  return `${beforeHash}${separator}${query.map(([name, value]) => `${part(name)}=${part(value)}`).join('&')}`;
}

/** Encoded where it has to be, but not its variables. */
function part(text: string): string {
  return text
    .toWellFormed()
    .split(/(\{\{[^{}]*\}\}|<<[^<>]*>>)/)
    .map((piece, index) => (index % 2 === 1 ? piece : encodeURIComponent(piece)))
    .join('');
}
