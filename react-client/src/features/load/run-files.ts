import type { Second } from './run-report';

/** The order of the columns is that of `loadgen --csv`. */
const COLUMNS = [
  't_s',
  'open',
  'opening',
  'sent',
  'received',
  'errors',
  'p50_ms',
  'p99_ms',
  'lag_ms',
] as const satisfies readonly (keyof Second)[];

/** A run second by second, as CSV. */
export function secondsToCsv(series: readonly Second[]): string {
  const rows = series.map((second) => COLUMNS.map((column) => second[column]).join(','));
  return [COLUMNS.join(','), ...rows].map((line) => `${line}\n`).join('');
}
