import { describe, expect, it } from 'vitest';

import type { EchoCounts } from './conversation';
import { verdictSentence } from './verdict-sentence';

const NOTHING: EchoCounts = {
  sent: 0,
  received: 0,
  waiting: 0,
  echoed: 0,
  reordered: 0,
  duplicate: 0,
  unexpected: 0,
  lost: 0,
};

describe('verdictSentence', () => {
  it.each([
    [{}, 'neutral', 'Nothing sent yet.'],
    [{ sent: 2, echoed: 2 }, 'good', 'Every message came back right.'],
    [{ sent: 2, echoed: 1, waiting: 1 }, 'neutral', '1 reply still to come.'],
    [{ sent: 1, lost: 1 }, 'bad', '1 message lost.'],
    [{ unexpected: 1 }, 'bad', '1 unexpected reply.'],
    [
      { sent: 1_300, waiting: 1, lost: 1_200, unexpected: 2, duplicate: 3, reordered: 4 },
      'bad',
      '1,200 messages lost, 2 unexpected replies, 3 duplicate replies, 4 replies out of order.',
    ],
  ])('of %j is %s: %s', (counts, tone, text) => {
    expect(verdictSentence({ ...NOTHING, ...counts })).toEqual({ tone, text });
  });
});
