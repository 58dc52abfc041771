import { afterEach, beforeEach, expect, it, vi } from 'vitest';

import { PlanRunner } from './plan-runner';

const DAY_MS = 86_400_000;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

it('waits for as long as a replay says, though no one timer can', () => {
  const sent: unknown[] = [];
  let wakings = 0;
  const runner = new PlanRunner(
    {
      kind: 'replay',
      messages: [
        { afterMs: 0, data: 'now' },
        { afterMs: 30 * DAY_MS, data: 'in a month' },
      ],
    },
    {
      now: () => {
        wakings += 1;
        return performance.now();
      },
      send: (data) => sent.push(data) > 0,
      onEnd: () => undefined,
    },
  );
  vi.advanceTimersByTime(1_000);
  expect(wakings).toBeLessThan(10);
  vi.advanceTimersByTime(30 * DAY_MS);
  expect(sent).toEqual(['now', 'in a month']);
  expect(runner.isOver).toBe(true);
});
