export interface RepeatFields {
  readonly amount: string;
  readonly unit: 'rate' | 'interval';
  /** Empty: until stopped. */
  readonly times: string;
}

export type RepeatReading =
  | { readonly ok: true; readonly intervalMs: number; readonly count: number | null }
  | { readonly ok: false; readonly problem: string };

/** More from one page measures the browser, not the server; that is what loadgen is for. */
export const MOST_PER_SECOND = 10_000;
const LONGEST_INTERVAL_MS = 3_600_000;

export function readRepeat({ amount, unit, times }: RepeatFields): RepeatReading {
  const figure = Number(amount.trim().replace(',', '.'));
  if (amount.trim() === '' || !(figure > 0)) return wrong('How often? A figure above zero.');
  const intervalMs = unit === 'rate' ? 1000 / figure : figure;
  if (intervalMs < 1000 / MOST_PER_SECOND) {
    return wrong('At most 10,000 a second from one page; the Load view does more.');
  }
  if (intervalMs > LONGEST_INTERVAL_MS) return wrong('At least one an hour.');
  if (times.trim() === '') return { ok: true, intervalMs, count: null };
  const count = Number(times.trim());
  if (!Number.isInteger(count) || count < 1) return wrong('How many times? A whole number.');
  return { ok: true, intervalMs, count };
}

function wrong(problem: string): RepeatReading {
  return { ok: false, problem };
}
