import { describe, expect, it } from 'vitest';

import { formatPercentile, LABELLED_NINES, ninesOf } from './percentile-axis';

describe('the percentile axis', () => {
  it('gives each further nine as much room', () => {
    const steps = [90, 99, 99.9, 99.99].map(ninesOf);
    steps.forEach((nines, index) => expect(nines).toBeCloseTo(index + 1, 9));
  });

  it('labels the percentiles that people quote', () => {
    expect(LABELLED_NINES.slice(0, 6).map(formatPercentile)).toEqual([
      'p0',
      'p50',
      'p90',
      'p99',
      'p99.9',
      'p99.99',
    ]);
    expect(formatPercentile(ninesOf(95))).toBe('p95');
  });
});
