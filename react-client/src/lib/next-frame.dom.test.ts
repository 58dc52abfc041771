import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { HIDDEN_TAB_DELAY_MS, onNextFrame, roomyFrames } from './next-frame';

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

describe('roomyFrames', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('leaves the page alone for three times as long as drawing took', () => {
    let nowMs = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
    const schedule = roomyFrames();
    schedule(() => (nowMs += 100));
    vi.advanceTimersByTime(HIDDEN_TAB_DELAY_MS);
    expect(nowMs).toBe(100);

    const next = vi.fn();
    schedule(next);
    vi.advanceTimersByTime(299);
    expect(next).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1 + HIDDEN_TAB_DELAY_MS);
    expect(next).toHaveBeenCalledTimes(1);
  });
});
