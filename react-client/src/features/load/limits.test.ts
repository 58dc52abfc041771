import { describe, expect, it } from 'vitest';

import { latencyLimits } from './limits';

describe('latencyLimits', () => {
  it('draws what a latency should not exceed, in milliseconds', () => {
    expect(latencyLimits(['latency.p99>50ms', 'latency.service.max >= 2s'])).toEqual([
      { label: 'latency.p99>50ms', value: 50 },
      { label: 'latency.service.max >= 2s', value: 2_000 },
    ]);
  });

  it.each(['messages.lost>0', 'latency.p99<50ms', 'latency.count>5', 'latency.p99>fast'])(
    'draws nothing for %s',
    (expression) => {
      expect(latencyLimits([expression])).toEqual([]);
    },
  );
});
