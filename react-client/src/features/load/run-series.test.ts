import { describe, expect, it } from 'vitest';

import type { Second } from './run-report';
import { runSeries } from './run-series';

const second = (t_s: number, rest: Partial<Second> = {}): Second => ({
  t_s,
  open: 10,
  opening: 0,
  sent: 10,
  received: 10,
  errors: 0,
  p50_ms: 1,
  p99_ms: 2,
  lag_ms: 0.5,
  ...rest,
});

describe('runSeries', () => {
  it('stands on the clock that it is given', () => {
    expect(runSeries([second(1), second(2)], 0).lag.times).toEqual([1, 2]);
    expect(runSeries([second(1)], 1_000).lag.times).toEqual([1_001]);
  });

  it('divides by the length of a second that was held up', () => {
    const { throughput } = runSeries([second(1), second(4, { sent: 30, received: 15 })], 0);
    expect(throughput.columns).toEqual([
      [10, 10],
      [10, 5],
      [0, 0],
    ]);
  });

  it('has no latency where nothing was answered, not one of zero', () => {
    const quiet = { received: 0, p50_ms: 0, p99_ms: 0 };
    const { latency } = runSeries([second(1), second(2, quiet), second(3)], 0);
    expect(latency.columns).toEqual([
      [1, null, 1],
      [2, null, 2],
    ]);
  });

  it('is empty for a run that has just begun', () => {
    expect(runSeries([], 0).throughput).toEqual({ times: [], columns: [[], [], []] });
  });
});
