import { describe, expect, it } from 'vitest';

import { percentileCurves, summaryCurve } from './distribution';

describe('percentileCurves', () => {
  it('rises from the fastest to the slowest, as far as there are values to tell', () => {
    const thousand = {
      values: Array.from({ length: 1_000 }, (_, ms) => (ms + 1) * 1_000),
      counts: Array.from({ length: 1_000 }, () => 1),
      total: 1_000,
    };
    const { times, columns } = percentileCurves([thousand]);
    const curve = columns[0] ?? [];
    expect(times.at(-1)).toBeCloseTo(3, 9);
    expect([curve[0], curve.at(-1)]).toEqual([1, 999]);
    expect(curve).toEqual([...curve].sort((a, b) => Number(a) - Number(b)));
  });

  it('is empty of nothing', () => {
    const none = { values: [], counts: [], total: 0 };
    expect(percentileCurves([none, none])).toEqual({ times: [], columns: [[], []] });
  });
});

describe('summaryCurve', () => {
  const summary = { min: 1, mean: 4, p50: 3, p90: 5, p95: 6, p99: 7, p999: 8, max: 9 };

  it('knows no percentile that so few values cannot tell', () => {
    expect(summaryCurve({ ...summary, count: 15 }).columns).toEqual([[1, 3, 5, 9]]);
    expect(summaryCurve({ ...summary, count: 1 }).columns).toEqual([[1, 3, 9]]);
    expect(summaryCurve({ ...summary, count: 100_000 }).columns).toEqual([[1, 3, 5, 6, 7, 8, 9]]);
  });

  it('is empty of nothing', () => {
    expect(summaryCurve({ ...summary, count: 0 }).columns).toEqual([[]]);
  });
});
