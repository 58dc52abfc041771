import { formatClock, formatElapsed } from '../lib/figures';
import { formatPercentile, percentOf } from '../lib/percentile-axis';
import type { ChartAxis } from './line-plot';

/** How one speaks of a place on a horizontal axis. */
export interface AxisWords {
  readonly title: string;
  readonly format: (at: number) => string;
  /** As a figure for those who calculate with it. */
  readonly exact: (at: number) => number;
}

export const AXES: Readonly<Record<ChartAxis, AxisWords>> = {
  clock: { title: 'Time', format: formatClock, exact: (unixS) => unixS },
  elapsed: { title: 'Elapsed', format: formatElapsed, exact: (elapsedS) => elapsedS },
  percentile: {
    title: 'Percentile',
    format: formatPercentile,
    // Without the dust of the calculation.
    exact: (nines) => Number(percentOf(nines).toFixed(6)),
  },
};
