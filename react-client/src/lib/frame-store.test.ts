import { describe, expect, it } from 'vitest';

import { FrameStore } from './frame-store';

/** A frame that comes when the test says so. */
function manualFrames() {
  const waiting: (() => void)[] = [];
  return {
    schedule: (publish: () => void) => {
      waiting.push(publish);
    },
    next: () => {
      for (const publish of waiting.splice(0)) publish();
    },
  };
}

describe('FrameStore', () => {
  it('publishes any number of changes once per frame', () => {
    const frames = manualFrames();
    let count = 0;
    let published = 0;
    const store = new FrameStore(() => ({ count }), frames.schedule);
    store.subscribe(() => (published += 1));

    const before = store.getSnapshot();
    for (count = 1; count < 1_000; count++) store.markChanged();
    expect(store.getSnapshot()).toBe(before);

    frames.next();
    expect(published).toBe(1);
    expect(store.getSnapshot()).toEqual({ count: 1_000 });

    store.markChanged();
    frames.next();
    expect(published).toBe(2);
  });

  it('keeps the same snapshot while nothing changes', () => {
    const store = new FrameStore(() => ({}));
    expect(store.getSnapshot()).toBe(store.getSnapshot());
  });

  it('stops calling a listener that has left', () => {
    const frames = manualFrames();
    const store = new FrameStore(() => ({}), frames.schedule);
    let calls = 0;
    const leave = store.subscribe(() => (calls += 1));
    leave();
    store.markChanged();
    frames.next();
    expect(calls).toBe(0);
  });
});
