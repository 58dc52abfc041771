import type { ChartLimit } from '../../components/chart-kinds';

const UNIT_MS: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};
/** Above it the generator is held to have set the numbers: see `docs/reference/report.md`. */
export const GENERATOR_LAG_LIMIT: ChartLimit = { label: 'verdict: 100 ms', value: 100 };

/** The thresholds on a latency percentile, such as `latency.p99>50ms`, as lines across its chart. */
export function latencyLimits(expressions: readonly string[]): ChartLimit[] {
  return expressions.flatMap((expression) => {
    const found =
      /^\s*latency\.(?:intended\.|service\.)?(?:p\d+|max|mean)\s*>=?\s*([\d.]+)\s*(us|ms|s|m|h)\s*$/.exec(
        expression,
      );
    const value = Number(found?.[1]) * (UNIT_MS[found?.[2] ?? ''] ?? NaN);
    return Number.isFinite(value) ? [{ label: expression.trim(), value }] : [];
  });
}
