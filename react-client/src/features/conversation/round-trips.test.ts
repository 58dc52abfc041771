import { describe, expect, it } from 'vitest';

import { ROUND_TRIPS_KEPT, RoundTrips } from './round-trips';

function summaryOf(durationsMs: readonly number[]) {
  const roundTrips = new RoundTrips();
  for (const durationMs of durationsMs) roundTrips.add(durationMs);
  return roundTrips.summary();
}

describe('RoundTrips', () => {
  it('has no figures before the first', () => {
    expect(summaryOf([])).toBeNull();
  });

  it.each([
    [[5], { sampleCount: 1, lastMs: 5, medianMs: 5, slowestMs: 5 }],
    [[9, 1], { sampleCount: 2, lastMs: 1, medianMs: 5, slowestMs: 9 }],
    [[3, 100, 1], { sampleCount: 3, lastMs: 1, medianMs: 3, slowestMs: 100 }],
  ])('sums up %j', (durationsMs, summary) => {
    expect(summaryOf(durationsMs)).toEqual(summary);
  });

  it('forgets the oldest', () => {
    const durationsMs = [1_000_000, ...Array<number>(ROUND_TRIPS_KEPT).fill(2)];
    expect(summaryOf(durationsMs)).toEqual({
      sampleCount: ROUND_TRIPS_KEPT,
      lastMs: 2,
      medianMs: 2,
      slowestMs: 2,
    });
  });
});
