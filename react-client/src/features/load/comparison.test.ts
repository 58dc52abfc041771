import { expect, it } from 'vitest';

import { compareRuns } from './comparison';
import type { RunReport } from './run-report';

const reportOf = (count: number, ms: number) => {
  const figures = { min: ms, mean: ms, p50: ms, p90: ms, p95: ms, p99: ms, p999: ms, max: ms };
  const latency = { count, ...figures };
  return {
    latency: { intended: latency, service: latency, scheduling_lag: latency },
    messages: { lost: 0, corrupt: 0, reordered: 0, duplicate: 0, unexpected: 0 },
    connections: { connect_ms: latency, failed: {} },
    generator: {},
  } as unknown as RunReport;
};

const tones = (count: number) =>
  Object.fromEntries(
    compareRuns(reportOf(10_000, 10), reportOf(count, 20)).map(({ name, tone }) => [name, tone]),
  );

it('calls no percentile worse that is of too few values in one of the runs', () => {
  expect(tones(9_999)).toMatchObject({ 'Latency p99': 'bad', 'Latency p99.9': 'plain' });
  expect(tones(10_000)).toMatchObject({ 'Latency p99': 'bad', 'Latency p99.9': 'bad' });
  expect(tones(999)).toMatchObject({ 'Latency p50': 'bad', 'Latency p99': 'plain' });
});
