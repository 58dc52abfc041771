import { formatClock, formatElapsed } from '../lib/figures';
import { formatPercentile, percentOf } from '../lib/percentile-axis';
import type { ChartAxis } from './chart-kinds';

/** How one speaks of a place on a horizontal axis. */
export interface AxisWords {
  readonly title: string;
  readonly format: (at: number) => string;
  /** To a tenth of a second, for rows that are closer together than a second. */
  readonly precise: (at: number) => string;
  /** As a figure for those who calculate with it. */
  readonly exact: (at: number) => number;
}

export const AXES: Readonly<Record<ChartAxis, AxisWords>> = {
  clock: {
    title: 'Time',
    format: formatClock,
    precise: (unixS) => withTenth(formatClock, unixS),
    exact: (unixS) => unixS,
  },
  elapsed: {
    title: 'Elapsed',
    format: formatElapsed,
    // Below a minute it says tenths by itself.
    precise: (elapsedS) =>
      elapsedS < 60 ? formatElapsed(elapsedS) : withTenth(formatElapsed, elapsedS),
    exact: (elapsedS) => elapsedS,
  },
  percentile: {
    title: 'Percentile',
    format: formatPercentile,
    precise: formatPercentile,
    // Without the dust of the calculation.
    exact: (nines) => Number(percentOf(nines).toFixed(6)),
  },
};

function withTenth(format: (seconds: number) => string, seconds: number): string {
  const tenths = Math.floor(seconds * 10);
  return `${format(Math.floor(tenths / 10))}.${String(tenths % 10)}`;
}
