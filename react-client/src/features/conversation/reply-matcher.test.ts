import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { AUTO, type Matching, readMatching } from './matching';
import { ANSWERED_MESSAGES_KEPT } from './recently-answered';
import { ReplyMatcher, type ReplyVerdict, type SentMessage } from './reply-matcher';

/** Texts that are apt to be taken for one another: suffixes of suffixes, and the empty one. */
const collidingText = fc.constantFrom('', ' ', 'a', 'a 1', 'a 1 2', '1', '1 2', '1 2 3', 'a 01');
const anyText = fc.oneof(collidingText, fc.string(), fc.string({ unit: 'grapheme' }));
const suffix = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 999_999 }));

/** A message, the number its reply will carry, and how many replies are read before it is sent. */
const exchange = fc.record({ text: anyText, suffix, readFirst: fc.nat({ max: 3 }) });

function sendAll(matcher: ReplyMatcher<SentMessage>, texts: readonly string[]): void {
  texts.forEach((text, index) => {
    matcher.expectReply({ number: index + 1, text });
  });
}

function judgeAll(sent: readonly string[], replies: readonly string[], matching: Matching = AUTO) {
  const matcher = new ReplyMatcher(matching);
  sendAll(matcher, sent);
  return replies.map((reply) => brief(matcher.judge(reply)));
}

function brief(verdict: ReplyVerdict<SentMessage>): string {
  return !('message' in verdict)
    ? verdict.kind
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
        const matcher = new ReplyMatcher();
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
          const matcher = new ReplyMatcher();
          sendAll(matcher, sent);
          const verdicts = replies.map((reply) => matcher.judge(reply));
          const settled = verdicts.flatMap((verdict) =>
            'released' in verdict ? [verdict.message, ...verdict.released] : [],
          );
          expect(new Set(settled).size).toBe(settled.length);
          const { waitingCount } = matcher;
          expect(settled.length + waitingCount).toBe(sent.length);
          const { lost, oneWay } = matcher.giveUp();
          expect(lost.length + oneWay.length).toBe(waitingCount);
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
          const matcher = new ReplyMatcher();
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
        const matcher = new ReplyMatcher({ by: 'suffix' });
        sendAll(
          matcher,
          exchanged.map(({ text }) => text),
        );
        for (const { text, copies } of exchanged) {
          if (copies >= 1) expect(matcher.judge(`${text} 1`).kind).toBe('echoed');
          if (copies >= 2) expect(matcher.judge(`${text} 1`).kind).toBe('duplicate');
        }
        const swallowed = exchanged.filter(({ copies }) => copies === 0);
        const { lost } = matcher.giveUp();
        expect(lost.map(({ text }) => text)).toEqual(swallowed.map(({ text }) => text));
      }),
    );
  });
});

describe('what counts as a suffix', () => {
  it.each([
    ['a 0', 'echoed #1 0'],
    ['a 999999', 'echoed #1 999999'],
    ['a', 'corrupt #1 exact'],
    ['a 1000000', 'corrupt #1 exact'],
    ['a 01', 'corrupt #1 exact'],
    ['a 00', 'corrupt #1 exact'],
    ['a -1', 'corrupt #1 exact'],
    ['a 1.5', 'corrupt #1 exact'],
    ['a 1e3', 'corrupt #1 exact'],
    ['a  1', 'corrupt #1 exact'],
    ['a 1 ', 'corrupt #1 exact'],
    ['a\t1', 'corrupt #1 exact'],
    ['a1', 'corrupt #1 exact'],
    ['a ', 'corrupt #1 exact'],
    ['a ١', 'corrupt #1 exact'],
    ['A 1', 'unexpected'],
    ['a 1\n', 'corrupt #1 exact'],
    ['', 'unexpected'],
  ])('reply %j to "a" is %s', (reply, verdict) => {
    expect(judgeAll(['a'], [reply], { by: 'suffix' })).toEqual([verdict]);
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
    const exactly: Matching = { by: 'exact' };
    expect(judgeAll(texts, ['a', 'a 5', 'a 5'], exactly).at(-1)).toBe('duplicate #2 exact');
    expect(judgeAll(texts, ['a 1', 'a 5 1', 'a 5']).at(-1)).toBe('duplicate #1 5');
  });
});

describe('what is kept of answered messages', () => {
  it('forgets the oldest, whose further copies are then unexpected', () => {
    const matcher = new ReplyMatcher();
    for (let number = 0; number <= ANSWERED_MESSAGES_KEPT; number++) {
      matcher.expectReply({ number, text: `m${String(number)}` });
      matcher.judge(`m${String(number)} 1`);
    }
    expect(matcher.judge('m0 1').kind).toBe('unexpected');
    expect(matcher.judge('m1 1').kind).toBe('duplicate');
  });

  it('forgets by size too', () => {
    const matcher = new ReplyMatcher({ by: 'exact' });
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

/** What a server does, in the order of time: `>` the page sends, `<` it receives. */
function play(script: readonly string[], matching: Matching = AUTO) {
  const matcher = new ReplyMatcher(matching);
  let number = 0;
  const said: string[] = [];
  for (const line of script) {
    const text = line.slice(1);
    if (line.startsWith('>')) {
      number += 1;
      if (!matcher.expectReply({ number, text })) said.push(`one way #${String(number)}`);
      continue;
    }
    const verdict = matcher.judge(text);
    said.push(brief(verdict));
    if (!('released' in verdict)) continue;
    for (const released of verdict.released) said.push(`one way #${String(released.number)}`);
  }
  const { lost, oneWay } = matcher.giveUp();
  const { form } = matcher;
  return {
    said,
    lost: lost.map((message) => message.number),
    oneWay: oneWay.map((message) => message.number),
    seen: form?.by === 'json' ? `json:${form.path}` : form?.by,
  };
}

const request = (id: unknown, method = 'echo') => JSON.stringify({ jsonrpc: '2.0', id, method });
const response = (id: unknown) => JSON.stringify({ jsonrpc: '2.0', result: null, id });

describe('without being told how a server answers', () => {
  it('finds answers by their identifier, in whatever order, and owes nothing without one', () => {
    const seen = play([
      `>${request(1, 'wait')}`,
      `>${request('1')}`,
      '>{"jsonrpc": "2.0", "method": "notify"}',
      `<${response('1')}`,
      `<${response(1)}`,
      '<{"method": "tick"}',
      `<${response(1)}`,
      '>{"method": "again without"}',
    ]);
    const expected = ['echoed #2 exact', 'one way #3', 'echoed #1 exact', 'ignored', 'ignored'];
    expect(seen).toEqual({
      said: [...expected, 'one way #4'],
      lost: [],
      oneWay: [],
      seen: 'json:id',
    });
  });

  it.each([
    ['id=replyTo', '{"id": 7}', '{"replyTo": 7}'],
    ['requestId', '{"requestId": "x"}', '{"requestId": "x", "ok": true}'],
    ['1', '["1", "5", "room", "phx_join", {}]', '["1", "5", "room", "phx_reply", {}]'],
  ])('knows %s', (path, message, reply) => {
    expect(play([`>${message}`, `<${reply}`])).toMatchObject({ seen: `json:${path}` });
  });

  it('takes a greeting and a welcome for what they are, then holds the server to its suffix', () => {
    const login = '{"type": "login", "token": "t"}';
    const script = ['<{"type": "hello"}', `>${login}`, '<{"type": "welcome"}', '>a', '>b', '<a 1'];
    expect(play([...script, '<b 2', '>c', '<what?'])).toEqual({
      said: ['ignored', 'ignored', 'echoed #2 1', 'one way #1', 'echoed #3 2', 'unexpected'],
      lost: [4],
      oneWay: [],
      seen: 'suffix',
    });
  });

  it('finds nothing wrong with one that pushes, be it spoken to or not', () => {
    const { said, lost, oneWay } = play(['<{"seq": 0}', '>hello?', '<{"seq": 1}', '<{"seq": 1}']);
    expect(said).toEqual(['ignored', 'ignored', 'ignored']);
    expect({ lost, oneWay }).toEqual({ lost: [], oneWay: [1] });
  });

  it('finds nothing wrong with a room, where others say things too', () => {
    const room = play(['<hi all', '>hi', '<hi', '<hi', '<how are you', '>fine']);
    const said = ['ignored', 'echoed #1 exact', 'ignored', 'ignored'];
    expect(room).toEqual({ said, lost: [2], oneWay: [], seen: 'exact' });
  });
});

describe('once it is said how a server answers', () => {
  it.each([
    [
      'suffix',
      ['>a', '<a', '<a 1', '>bcd', '<bcx 1'],
      ['corrupt #1 exact', 'duplicate #1 1', 'corrupt #2 exact'],
    ],
    [
      'exact',
      ['<hello', '>a', '<a', '<a', '<b'],
      ['ignored', 'echoed #1 exact', 'duplicate #1 exact', 'unexpected'],
    ],
    [
      'json:k',
      ['>{"k": 7}', '<{"id": 1}', '<{"k": 7.0}', '<{"k": "7"}', '<{"k": 7}'],
      ['ignored', 'echoed #1 exact', 'unexpected', 'duplicate #1 exact'],
    ],
    ['off', ['>a', '<a', '<a 1'], ['one way #1', 'ignored', 'ignored']],
  ])('%s is kept to', (matching, script, said) => {
    expect(play(script, readMatching(matching)).said).toEqual(said);
  });
});
