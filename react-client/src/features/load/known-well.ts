import type { Summary } from './run-report';

/** How many values it takes to know a percentile well: ten beyond it, as docs/reference/report.md says. */
const LEAST_COUNT: Readonly<Partial<Record<keyof Summary, number>>> = {
  p50: 20,
  p90: 100,
  p95: 200,
  p99: 1_000,
  p999: 10_000,
};

/** Whether a figure of a latency is of enough values. */
export function isKnownWell(summary: Summary, figure: keyof Summary): boolean {
  return summary.count === 0 || summary.count >= (LEAST_COUNT[figure] ?? 0);
}
