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
 * bound it is. What nothing measured, which a report has as null, is a dash.
 */
export function formatMilliseconds(durationMs: number | null): string {
  if (durationMs === null) return '–';
  if (durationMs < 0.1) return `<${NO_BREAK}0.1${NO_BREAK}ms`;
  const isFine = durationMs < 99.95;
  return `${(isFine ? TENTHS : COUNT).format(durationMs)}${NO_BREAK}ms`;
}

/** `2048` → `2,048 bytes`. */
export function formatBytes(bytes: number): string {
  return bytes === 1 ? '1 byte' : `${formatCount(bytes)} bytes`;
}

const COMPACT = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const SIZE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/** `12431` → `12.4K`: for axes, where there is room for no more. */
export function formatCompact(count: number): string {
  return COMPACT.format(count);
}

/** `3174400` → `3.0 MiB`. */
export function formatSize(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  const amount = bytes / 1024 ** power;
  const format = power === 0 || amount >= 99.95 ? COUNT : TENTHS;
  return `${format.format(amount)}${NO_BREAK}${SIZE_UNITS[power] ?? 'B'}`;
}

/** `1234.5` → `1,235 /s`; below ten with one decimal, where a rounded figure would mislead. */
export function formatRate(perSecond: number): string {
  const isFine = perSecond < 9.95 && !Number.isInteger(perSecond);
  return `${(isFine ? TENTHS : COUNT).format(perSecond)}${NO_BREAK}/s`;
}

/** `0.1234` → `12 %`, with one decimal below ten per cent. */
export function formatShare(share: number): string {
  const percent = share * 100;
  const format = percent > 0 && percent < 9.95 ? TENTHS : COUNT;
  return `${format.format(percent)}${NO_BREAK}%`;
}

/** `3723` → `1 h 2 min`, `75` → `1 min 15 s`, `9.6` → `9.6 s`. */
export function formatDuration(durationS: number): string {
  const unit = (amount: number, name: string) => `${COUNT.format(amount)}${NO_BREAK}${name}`;
  if (durationS < 59.95) {
    const isWhole = Math.abs(durationS - Math.round(durationS)) < 0.05;
    return `${(isWhole ? COUNT : TENTHS).format(durationS)}${NO_BREAK}s`;
  }
  const seconds = Math.round(durationS);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours >= 24) return `${unit(Math.floor(hours / 24), 'd')} ${unit(hours % 24, 'h')}`;
  if (hours > 0) return `${unit(hours, 'h')} ${unit(minutes % 60, 'min')}`;
  return seconds % 60 === 0
    ? unit(minutes, 'min')
    : `${unit(minutes, 'min')} ${unit(seconds % 60, 's')}`;
}

/** Seconds since a start as a stopwatch shows them: `7 s`, `1:05`, `1:02:03`. */
export function formatElapsed(elapsedS: number): string {
  if (elapsedS < 60) return `${String(Math.round(elapsedS * 10) / 10)}${NO_BREAK}s`;
  const seconds = Math.round(elapsedS);
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, index) => String(part).padStart(index === 0 ? 1 : 2, '0')).join(':');
}

/** Seconds since 1970 as local time of day, `14:02:11`. */
export function formatClock(unixS: number): string {
  const moment = new Date(unixS * 1000);
  return [moment.getHours(), moment.getMinutes(), moment.getSeconds()]
    .map((part) => String(part).padStart(2, '0'))
    .join(':');
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
