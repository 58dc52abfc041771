import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { dataOf, paceAt, plannedCount, type SendPlan } from './send-plan';

const every = (intervalMs: number, count: number | null): SendPlan => ({
  kind: 'repeat',
  data: 'm{seq}',
  intervalMs,
  count,
});

describe('paceAt', () => {
  it.each([
    ['the first is due at once', every(100, 3), 0, 0, { send: 1, waitMs: 100 }],
    ['nothing is due in between', every(100, 3), 1, 60, { send: 0, waitMs: 40 }],
    ['what is late goes out, all of it', every(100, 9), 1, 450, { send: 4, waitMs: 50 }],
    ['after the last, nothing waits', every(100, 3), 2, 200, { send: 1, waitMs: null }],
    ['much at once leaves a turn to others', every(0.1, null), 0, 1e6, { send: 250, waitMs: 0 }],
  ])('%s', (_, plan, sent, elapsedMs, pace) => {
    expect(paceAt(plan, sent, elapsedMs)).toEqual(pace);
  });

  it('sends each exactly once and never early, however the thread is held up', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 500 }), { maxLength: 40 }),
        fc.array(fc.nat({ max: 300 }), { minLength: 1, maxLength: 40 }),
        (gaps, holdUps) => {
          let at = 0;
          const messages = gaps.map((gap) => ({ afterMs: (at += gap), data: '' }));
          const plan: SendPlan = { kind: 'replay', messages };
          let nowMs = 0;
          let sent = 0;
          for (let turn = 0; ; turn++) {
            const { send, waitMs } = paceAt(plan, sent, nowMs);
            for (let more = 0; more < send; more++, sent++) {
              expect(messages[sent]?.afterMs).toBeLessThanOrEqual(nowMs);
            }
            if (waitMs === null) break;
            nowMs += waitMs + (holdUps[turn % holdUps.length] ?? 0);
          }
          expect(sent).toBe(messages.length);
        },
      ),
    );
  });
});

describe('a plan', () => {
  it('numbers a text that asks for it', () => {
    expect([0, 1].map((index) => dataOf(every(1, 2), index))).toEqual(['m1', 'm2']);
  });

  it('knows how many there will be, if it ends', () => {
    expect([plannedCount(every(1, 7)), plannedCount(every(1, null))]).toEqual([7, null]);
  });
});
