import {
  formatCompact,
  formatCount,
  formatMilliseconds,
  formatRate,
  formatShare,
  formatSize,
} from './figures';

/** How figures of one kind are written, and where the lines of an axis stand. */
export interface Unit {
  readonly format: (figure: number) => string;
  /** The same, as short as an axis needs it. */
  readonly formatAxis: (figure: number) => string;
  /** From one line of an axis to the next, ascending. */
  readonly steps: readonly number[];
}

const decades = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => 10 ** (from + index)).flatMap((decade) =>
    [1, 2, 5].map((digit) => Number((digit * decade).toPrecision(1))),
  );
const WHOLE = decades(0, 15);
const BINARY = Array.from({ length: 50 }, (_, power) => 2 ** power);

const MILLISECONDS_AXIS = new Intl.NumberFormat('en', { maximumFractionDigits: 3 });
const PERCENT_AXIS = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export const COUNT: Unit = { format: formatCount, formatAxis: formatCompact, steps: WHOLE };
export const RATE: Unit = { format: formatRate, formatAxis: formatCompact, steps: WHOLE };
export const MILLISECONDS: Unit = {
  format: formatMilliseconds,
  formatAxis: (figure) => (figure === 0 ? '0' : `${MILLISECONDS_AXIS.format(figure)} ms`),
  steps: decades(-3, 9),
};
export const SIZE: Unit = {
  format: formatSize,
  formatAxis: (bytes) => formatSize(bytes).replace('.0', ''),
  steps: BINARY,
};
export const SIZE_RATE: Unit = {
  ...SIZE,
  format: (bytes) => `${formatSize(bytes)}/s`,
};
export const SHARE: Unit = {
  format: formatShare,
  formatAxis: (share) => `${PERCENT_AXIS.format(share * 100)} %`,
  steps: decades(-3, 3),
};
