/** Between a figure and its unit, which belong on one line. */
const NO_BREAK = '\u00a0';
const COUNT = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const TENTHS = new Intl.NumberFormat('en', {
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});

/** `12431` → `12,431`. */
export function formatCount(count: number): string {
  return COUNT.format(count);
}

/**
 * `1.234` → `1.2 ms`, `123.4` → `123 ms`.
 *
 * Browsers coarsen their clock to 0.1 ms or worse, so a difference of nothing is shown as the
 * bound it is.
 */
export function formatMilliseconds(durationMs: number): string {
  if (durationMs < 0.1) return `<${NO_BREAK}0.1${NO_BREAK}ms`;
  const isFine = durationMs < 99.95;
  return `${(isFine ? TENTHS : COUNT).format(durationMs)}${NO_BREAK}ms`;
}

/** `2048` → `2,048 bytes`. */
export function formatBytes(bytes: number): string {
  return bytes === 1 ? '1 byte' : `${formatCount(bytes)} bytes`;
}

/** `1 reply`, `2 replies`. */
export function formatPlural(count: number, singular: string, plural: string): string {
  return `${formatCount(count)} ${count === 1 ? singular : plural}`;
}

/** A moment of the page's monotonic clock as local time of day, `14:02:11.123`. */
export function formatTimeOfDay(atMs: number, precision: 'seconds' | 'milliseconds'): string {
  const moment = new Date(performance.timeOrigin + atMs);
  const pad = (value: number, width: number) => String(value).padStart(width, '0');
  const seconds = [moment.getHours(), moment.getMinutes(), moment.getSeconds()]
    .map((value) => pad(value, 2))
    .join(':');
  return precision === 'seconds' ? seconds : `${seconds}.${pad(moment.getMilliseconds(), 3)}`;
}
