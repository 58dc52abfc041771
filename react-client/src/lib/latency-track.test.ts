import { describe, expect, it } from 'vitest';

import { LatencyTrack } from './latency-track';

describe('LatencyTrack', () => {
  it('keeps the slowest of each second', () => {
    const track = new LatencyTrack();
    track.add(10_100, 3);
    track.add(10_900, 8);
    track.add(10_950, 1);
    track.add(12_000, 2);
    expect(track.series()).toEqual({ times: [10, 12], columns: [[8, 2]] });
  });

  it('forgets what is older than an hour of talking', () => {
    const track = new LatencyTrack();
    for (let second = 0; second < 4_000; second++) track.add(second * 1000, second);
    const { times } = track.series();
    expect(times).toHaveLength(3_600);
    expect(times[0]).toBe(400);
  });
});
