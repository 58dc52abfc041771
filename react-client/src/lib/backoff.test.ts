import { describe, expect, it } from 'vitest';

import { backoffMs } from './backoff';

describe('backoffMs', () => {
  it('waits longer after each failure, up to a bound', () => {
    const delays = [1, 2, 3, 4, 10, 1_000].map((failures) => backoffMs(failures, 0.5));
    expect(delays).toEqual([1_000, 1_700, 2_890, 4_913, 15_000, 15_000]);
  });

  it('spreads the waits by a quarter either way', () => {
    expect(backoffMs(1, 0)).toBe(750);
    expect(backoffMs(1, 0.999)).toBe(1_250);
  });
});
