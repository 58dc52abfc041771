import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { HIDDEN_TAB_DELAY_MS, onNextFrame } from './next-frame';

describe('onNextFrame', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('runs at the animation frame, and only once', () => {
    const run = vi.fn();
    onNextFrame(run);
    expect(run).not.toHaveBeenCalled();
    vi.advanceTimersToNextFrame();
    expect(run).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(10 * HIDDEN_TAB_DELAY_MS);
    expect(run).toHaveBeenCalledTimes(1);
  });

  it('runs by timer in a hidden tab, which gets no animation frames', () => {
    vi.stubGlobal('requestAnimationFrame', () => 0);
    const run = vi.fn();
    onNextFrame(run);
    vi.advanceTimersByTime(HIDDEN_TAB_DELAY_MS);
    expect(run).toHaveBeenCalledTimes(1);
    vi.unstubAllGlobals();
  });
});
