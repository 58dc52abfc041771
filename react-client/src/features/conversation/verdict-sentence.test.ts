import { describe, expect, it } from 'vitest';

import { type EchoCounts, NOTHING_COUNTED } from './echo-counts';
import { verdictSentence } from './verdict-sentence';

const NOTHING: EchoCounts = { ...NOTHING_COUNTED, waiting: 0 };

describe('verdictSentence', () => {
  it.each([
    [{}, 'neutral', 'Nothing sent yet.'],
    [{ sent: 2, echoed: 2 }, 'good', 'Every message came back right.'],
    [{ sent: 2, echoed: 1, waiting: 1 }, 'neutral', '1 reply still to come.'],
    [{ sent: 1, lost: 1 }, 'bad', '1 message lost.'],
    [{ unexpected: 1 }, 'bad', '1 unexpected reply.'],
    [{ corrupt: 2, received: 2 }, 'bad', '2 corrupt replies.'],
    [{ received: 3, ignored: 3 }, 'neutral', '3 messages pushed.'],
    [{ sent: 1, oneWay: 1 }, 'neutral', 'Nothing is known to be owed a reply.'],
    [{ sent: 2, echoed: 1, oneWay: 1, ignored: 4 }, 'good', 'Every message came back right.'],
    [
      { sent: 1_300, waiting: 1, lost: 1_200, unexpected: 2, duplicate: 3, reordered: 4 },
      'bad',
      '1,200 messages lost, 2 unexpected replies, 3 duplicate replies, 4 replies out of order.',
    ],
  ])('of %j is %s: %s', (counts, tone, text) => {
    expect(verdictSentence({ ...NOTHING, ...counts })).toEqual({ tone, text });
  });
});
