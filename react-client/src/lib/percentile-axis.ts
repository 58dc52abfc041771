/** Of a percentile axis: where a percentage stands, so that each further nine has as much room. */
export function ninesOf(percent: number): number {
  return -Math.log10(1 - percent / 100);
}

/** Where the axis has a label: 0, 50, 90, 99, 99.9 … per cent. */
export const LABELLED_NINES: readonly number[] = [0, Math.log10(2), 1, 2, 3, 4, 5, 6];

/** The other way: `2` → 99. */
export function percentOf(nines: number): number {
  return 100 * (1 - 10 ** -nines);
}

/** `2` → `p99`, `3` → `p99.9`; between two nines, as many digits as tell them apart. */
export function formatPercentile(nines: number): string {
  const digits = Math.max(0, Math.ceil(nines - 1));
  return `p${String(Number(percentOf(nines).toFixed(digits)))}`;
}
