import { type Cell, type TimeSeries, withGaps } from '../../lib/time-series';
import type { Second } from './run-report';

/** A second that was held up is booked as one longer one; longer than this, nothing was booked. */
const LONGEST_STEP_S = 10;

export interface RunSeries {
  readonly throughput: TimeSeries;
  readonly sockets: TimeSeries;
  readonly latency: TimeSeries;
  readonly lag: TimeSeries;
}

/**
 * What the charts of a run draw.
 *
 * @param originS what stands for the run's beginning: 0, or the time of day when it was.
 */
export function runSeries(series: readonly Second[], originS: number): RunSeries {
  const times = series.map(({ t_s }) => originS + t_s);
  const perSecond = (read: (second: Second) => number): Cell[] =>
    series.map((second, row) => {
      const stepS = second.t_s - (series[row - 1]?.t_s ?? 0);
      return stepS > 0 ? read(second) / stepS : null;
    });
  // Where nothing was answered, there is no latency: the report writes 0 then.
  const answered = (read: (second: Second) => number): Cell[] =>
    series.map((second) => (second.received > 0 ? read(second) : null));
  const draw = (...columns: Cell[][]): TimeSeries => withGaps({ times, columns }, LONGEST_STEP_S);
  return {
    throughput: draw(
      perSecond(({ sent }) => sent),
      perSecond(({ received }) => received),
      perSecond(({ errors }) => errors),
    ),
    sockets: draw(
      series.map(({ open }) => open),
      series.map(({ opening }) => opening),
    ),
    latency: draw(
      answered(({ p50_ms }) => p50_ms),
      answered(({ p99_ms }) => p99_ms),
    ),
    lag: draw(series.map(({ lag_ms }) => lag_ms)),
  };
}
