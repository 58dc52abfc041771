import { decodeHdrHistogram, type HdrHistogram, valueAtPercentile } from '../../lib/hdr-histogram';
import { ninesOf, percentOf } from '../../lib/percentile-axis';
import type { TimeSeries } from '../../lib/time-series';
import type { RunReport, Summary } from './run-report';

/** Points of the curve for each further nine. */
const POINTS_PER_NINE = 24;
const MOST_NINES = 6;
const MS = 1_000;

/** The latencies of a run by percentile: how many replies were how fast. */
export async function latencyDistribution(
  histograms: RunReport['histograms'],
): Promise<TimeSeries> {
  const all = await Promise.all([
    decodeHdrHistogram(histograms.intended),
    decodeHdrHistogram(histograms.service),
  ]);
  return percentileCurves(all);
}

/** Curves up to the last nine that so many recorded values can tell. */
export function percentileCurves(histograms: readonly HdrHistogram[]): TimeSeries {
  const most = Math.max(0, ...histograms.map(({ total }) => total));
  if (most === 0) return { times: [], columns: histograms.map(() => []) };
  const nines = Math.min(MOST_NINES, Math.max(1, Math.log10(most)));
  const points = Math.ceil(nines * POINTS_PER_NINE);
  const times = Array.from({ length: points + 1 }, (_, point) => (point * nines) / points);
  return {
    times,
    columns: histograms.map((histogram) =>
      times.map((at) => {
        const value = valueAtPercentile(histogram, percentOf(at));
        return value === null ? null : value / MS;
      }),
    ),
  };
}

/** The same of a summary, which knows a few percentiles only. */
export function summaryCurve(summary: Summary): TimeSeries {
  if (summary.count === 0) return { times: [], columns: [[]] };
  const points: readonly [number, number][] = [
    [0, summary.min],
    [ninesOf(50), summary.p50],
    [ninesOf(90), summary.p90],
    [ninesOf(95), summary.p95],
    [ninesOf(99), summary.p99],
    [ninesOf(99.9), summary.p999],
  ];
  const lastNines = Math.log10(summary.count);
  const known = points.filter(([nines]) => nines <= Math.max(lastNines, ninesOf(50)));
  const end = Math.max(lastNines, (known.at(-1)?.[0] ?? 0) + 0.1);
  return {
    times: [...known.map(([nines]) => nines), end],
    columns: [[...known.map(([, value]) => value), summary.max]],
  };
}
