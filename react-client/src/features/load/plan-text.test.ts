import { describe, expect, it } from 'vitest';

import { describePlan } from './plan-text';

const say = (plan: Record<string, unknown>): string =>
  describePlan({ count: 1_000, duration_s: 10, ...plan }).replaceAll('\u00A0', ' ');

describe('describePlan', () => {
  it('says how much each socket sends, or all of them', () => {
    expect(say({})).toBe('1,000 sockets · 1 /s each · 10 s');
    expect(say({ rate: 50 })).toBe('1,000 sockets · 50 /s in all · 10 s');
    expect(say({ closed_loop: true, size_bytes: 16 })).toBe(
      '1,000 sockets · closed loop · 10 s · 16 B',
    );
  });

  it('names the scenario of users, who send as their code says', () => {
    expect(say({ scenario: 'chat.py', rate_per_conn: 1 })).toBe('1,000 users · chat.py · 10 s');
    expect(say({ scenario: 'chat.py:talker', arrive: 50 })).toBe(
      '1,000 users at most · chat.py:talker · 50 /s arrive · 10 s',
    );
  });
});
