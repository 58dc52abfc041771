import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  ANSWERED_MESSAGES_KEPT,
  EchoMatcher,
  type ReplyVerdict,
  type SentMessage,
} from './echo-matcher';

/** Texts that are apt to be taken for one another: suffixes of suffixes, and the empty one. */
const collidingText = fc.constantFrom('', ' ', 'a', 'a 1', 'a 1 2', '1', '1 2', '1 2 3', 'a 01');
const anyText = fc.oneof(collidingText, fc.string(), fc.string({ unit: 'grapheme' }));
const suffix = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 999_999 }));

/** A message, the number its reply will carry, and how many replies are read before it is sent. */
const exchange = fc.record({ text: anyText, suffix, readFirst: fc.nat({ max: 3 }) });

function sendAll(matcher: EchoMatcher<SentMessage>, texts: readonly string[]): void {
  texts.forEach((text, index) => {
    matcher.expectReply({ number: index + 1, text });
  });
}

function judgeAll(sent: readonly string[], replies: readonly string[]) {
  const matcher = new EchoMatcher();
  sendAll(matcher, sent);
  return replies.map((reply) => brief(matcher.judge(reply)));
}

function brief(verdict: ReplyVerdict<SentMessage>): string {
  return verdict.kind === 'unexpected'
    ? 'unexpected'
    : `${verdict.kind} #${String(verdict.message.number)} ${verdict.suffix ?? 'exact'}`;
}

describe('a server that keeps the contract', () => {
  const servers = [
    {
      name: 'with suffixes',
      reply: (text: string, n: number) => `${text} ${String(n)}`,
      exact: false,
    },
    { name: 'exactly', reply: (text: string) => text, exact: true },
  ];

  it.each(servers)('is never accused when it replies $name, whatever is sent', (server) => {
    fc.assert(
      fc.property(fc.array(exchange, { maxLength: 40 }), (exchanges) => {
        const matcher = new EchoMatcher();
        const underway: { number: number; reply: string; suffix: string | null }[] = [];
        const readOne = () => {
          const next = underway.shift();
          if (next === undefined) return;
          const verdict = matcher.judge(next.reply);
          expect(verdict).toMatchObject({ kind: 'echoed', suffix: next.suffix });
          expect(verdict).toHaveProperty('message.number', next.number);
        };

        exchanges.forEach(({ text, suffix: n, readFirst }, index) => {
          for (let i = 0; i < readFirst; i++) readOne();
          const number = index + 1;
          matcher.expectReply({ number, text });
          underway.push({
            number,
            reply: server.reply(text, n),
            suffix: server.exact ? null : String(n),
          });
        });
        while (underway.length > 0) readOne();
        expect(matcher.waitingCount).toBe(0);
      }),
    );
  });
});

describe('a server that does not', () => {
  /** Texts of which none can be taken for another's reply. */
  const distinctTexts = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,8}$/), {
    minLength: 1,
    maxLength: 20,
  });

  it('has each reply counted once, and each message answered or lost', () => {
    fc.assert(
      fc.property(
        fc.array(anyText, { maxLength: 20 }),
        fc.array(
          fc.oneof(
            anyText,
            fc.tuple(anyText, suffix).map(([t, n]) => `${t} ${String(n)}`),
          ),
        ),
        (sent, replies) => {
          const matcher = new EchoMatcher();
          sendAll(matcher, sent);
          const settled = replies.filter((reply) =>
            ['echoed', 'reordered'].includes(matcher.judge(reply).kind),
          ).length;
          const { waitingCount } = matcher;
          expect(settled + waitingCount).toBe(sent.length);
          expect(matcher.giveUp()).toHaveLength(waitingCount);
          expect(matcher.waitingCount).toBe(0);
        },
      ),
    );
  });

  it('is found to have reordered exactly the replies that come after a later one’s', () => {
    fc.assert(
      fc.property(
        distinctTexts.chain((texts) =>
          fc.tuple(fc.constant(texts), fc.shuffledSubarray(texts, { minLength: texts.length })),
        ),
        ([texts, arriving]) => {
          const matcher = new EchoMatcher();
          sendAll(matcher, texts);
          let latest = 0;
          for (const text of arriving) {
            const number = texts.indexOf(text) + 1;
            const kind = number < latest ? 'reordered' : 'echoed';
            expect(matcher.judge(`${text} 7`)).toMatchObject({ kind, message: { number } });
            latest = Math.max(latest, number);
          }
        },
      ),
    );
  });

  it('is found to have duplicated every second copy and lost what it swallowed', () => {
    const textWithCopies = fc.record({
      text: fc.stringMatching(/^[a-z]{1,8}$/),
      copies: fc.constantFrom(0, 1, 2),
    });
    const exchanges = fc.uniqueArray(textWithCopies, { selector: ({ text }) => text });
    fc.assert(
      fc.property(exchanges, (exchanged) => {
        const matcher = new EchoMatcher();
        sendAll(
          matcher,
          exchanged.map(({ text }) => text),
        );
        for (const { text, copies } of exchanged) {
          if (copies >= 1) expect(matcher.judge(`${text} 1`).kind).toBe('echoed');
          if (copies >= 2) expect(matcher.judge(`${text} 1`).kind).toBe('duplicate');
        }
        const swallowed = exchanged.filter(({ copies }) => copies === 0);
        expect(matcher.giveUp().map(({ text }) => text)).toEqual(swallowed.map(({ text }) => text));
      }),
    );
  });
});

describe('what counts as a suffix', () => {
  it.each([
    ['a 0', 'echoed #1 0'],
    ['a 999999', 'echoed #1 999999'],
    ['a', 'echoed #1 exact'],
    ['a 1000000', 'unexpected'],
    ['a 01', 'unexpected'],
    ['a 00', 'unexpected'],
    ['a -1', 'unexpected'],
    ['a 1.5', 'unexpected'],
    ['a 1e3', 'unexpected'],
    ['a  1', 'unexpected'],
    ['a 1 ', 'unexpected'],
    ['a\t1', 'unexpected'],
    ['a1', 'unexpected'],
    ['a ', 'unexpected'],
    ['a ١', 'unexpected'],
    ['A 1', 'unexpected'],
    ['a 1\n', 'unexpected'],
    ['', 'unexpected'],
  ])('reply %j to "a" is %s', (reply, verdict) => {
    expect(judgeAll(['a'], [reply])).toEqual([verdict]);
  });

  it('takes the last number for the suffix of a message that ends in one', () => {
    expect(judgeAll(['1 2'], ['1 2 3'])).toEqual(['echoed #1 3']);
  });

  it('may follow an empty message', () => {
    expect(judgeAll([''], [' 5'])).toEqual(['echoed #1 5']);
  });

  it('may follow a message of several lines', () => {
    expect(judgeAll(['a\nb 1\n'], ['a\nb 1\n 5'])).toEqual(['echoed #1 5']);
  });
});

describe('a reply that fits two waiting messages', () => {
  it('answers the older one, sent first without its number', () => {
    expect(judgeAll(['1', '1 2'], ['1 2', '1 2 9'])).toEqual(['echoed #1 2', 'echoed #2 9']);
  });

  it('answers the older one, sent first with its number', () => {
    expect(judgeAll(['1 2', '1'], ['1 2', '1'])).toEqual(['echoed #1 exact', 'echoed #2 exact']);
  });

  it('answers the one in whose form this connection has replied before', () => {
    const texts = ['x', 'a', 'a 5'];
    expect(judgeAll(texts, ['x', 'a 5'])).toEqual(['echoed #1 exact', 'echoed #3 exact']);
    expect(judgeAll(texts, ['x 1', 'a 5'])).toEqual(['echoed #1 1', 'echoed #2 5']);
  });

  it('goes to the oldest of several identical messages', () => {
    expect(judgeAll(['a', 'a', 'a'], ['a 3', 'a 1', 'a 2', 'a 1'])).toEqual([
      'echoed #1 3',
      'echoed #2 1',
      'echoed #3 2',
      'duplicate #3 1',
    ]);
  });
});

describe('a reply that fits two answered messages', () => {
  it('is a duplicate of the one that fits the form of this connection', () => {
    const texts = ['a', 'a 5'];
    expect(judgeAll(texts, ['a', 'a 5', 'a 5']).at(-1)).toBe('duplicate #2 exact');
    expect(judgeAll(texts, ['a 1', 'a 5 1', 'a 5']).at(-1)).toBe('duplicate #1 5');
  });
});

describe('what is kept of answered messages', () => {
  it('forgets the oldest, whose further copies are then unexpected', () => {
    const matcher = new EchoMatcher();
    for (let number = 0; number <= ANSWERED_MESSAGES_KEPT; number++) {
      matcher.expectReply({ number, text: `m${String(number)}` });
      matcher.judge(`m${String(number)} 1`);
    }
    expect(matcher.judge('m0 1').kind).toBe('unexpected');
    expect(matcher.judge('m1 1').kind).toBe('duplicate');
  });

  it('forgets by size too', () => {
    const matcher = new EchoMatcher();
    const large = ['a', 'b', 'c'].map((letter) => letter.repeat(6_000_000));
    sendAll(matcher, large);
    for (const text of large) matcher.judge(text);
    expect(large.map((text) => matcher.judge(text).kind)).toEqual([
      'unexpected',
      'duplicate',
      'duplicate',
    ]);
  });
});
