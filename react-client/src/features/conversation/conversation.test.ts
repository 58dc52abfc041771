import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { Conversation } from './conversation';
import { readMatching } from './matching';
import { binaryPayload, textPayload as text } from './payload';

const bytes = (value: string) => binaryPayload(new TextEncoder().encode(value));

describe('Conversation', () => {
  it('sets a reply’s suffix apart and measures from handing over to receiving', () => {
    const conversation = new Conversation();
    conversation.recordSent(text('hello'), 100);
    conversation.recordReceived(text('hello 483920'), 102.5);

    const { counts, entries, roundTrips } = conversation.snapshot();
    expect(entries).toMatchObject([
      { kind: 'sent', number: 1, payload: text('hello'), fate: 'answered', atMs: 100 },
      {
        kind: 'received',
        verdict: 'echoed',
        answers: { number: 1, suffix: '483920' },
        roundTripMs: 2.5,
      },
    ]);
    expect(counts).toMatchObject({ sent: 1, received: 1, echoed: 1, waiting: 0 });
    expect(roundTrips).toMatchObject({ lastMs: 2.5 });
  });

  it('gives duplicates and unexpected replies no round-trip time', () => {
    const conversation = new Conversation();
    conversation.recordSent(text('a'), 0);
    conversation.recordReceived(text('a 1'), 1);
    conversation.recordReceived(text('a 2'), 500);
    conversation.recordReceived(text('welcome!'), 600);

    const { counts, entries, roundTrips } = conversation.snapshot();
    expect(entries.slice(2)).toEqual([
      expect.not.objectContaining({ roundTripMs: expect.anything() as unknown }),
      expect.not.objectContaining({ roundTripMs: expect.anything() as unknown }),
    ]);
    expect(entries.slice(2)).toMatchObject([{ verdict: 'duplicate' }, { verdict: 'unexpected' }]);
    expect(counts).toMatchObject({ echoed: 1, duplicate: 1, unexpected: 1 });
    expect(roundTrips).toMatchObject({ sampleCount: 1, slowestMs: 1 });
  });

  it('counts what is unanswered at the end of a connection as lost, and says how many', () => {
    const conversation = new Conversation();
    for (const message of ['a', 'b', 'c']) conversation.recordSent(text(message), 0);
    conversation.recordReceived(text('b 1'), 1);

    expect(conversation.endConnection()).toBe(2);
    const { counts, entries } = conversation.snapshot();
    expect(counts).toMatchObject({ sent: 3, echoed: 1, lost: 2, waiting: 0 });
    expect(entries).toMatchObject([{ fate: 'lost' }, { fate: 'answered' }, { fate: 'lost' }, {}]);
  });

  it('takes nothing on a new connection for a reply to what was sent on the last', () => {
    const conversation = new Conversation();
    conversation.recordSent(text('a'), 0);
    conversation.recordSent(text('b'), 0);
    conversation.recordReceived(text('b 1'), 1);
    conversation.endConnection();
    conversation.recordReceived(text('a 1'), 2);
    conversation.recordSent(text('c'), 3);
    conversation.recordReceived(text('b 1'), 4);
    const { counts } = conversation.snapshot();
    expect(counts).toMatchObject({ lost: 1, ignored: 1, unexpected: 1, duplicate: 0 });
  });

  it('sets the suffix of a binary echo apart, which is the same bytes and ASCII', () => {
    const conversation = new Conversation();
    const sent = new Uint8Array([0, 0xff, 0x80, 0x20, 0x37]);
    conversation.recordSent(binaryPayload(sent), 0);
    conversation.recordReceived(binaryPayload(new Uint8Array([...sent, 0x20, 0x34, 0x32])), 2);
    const { counts, entries } = conversation.snapshot();
    expect(counts).toMatchObject({ echoed: 1, waiting: 0, unexpected: 0 });
    expect(entries[1]).toMatchObject({ answers: { number: 1, suffix: '42' }, roundTripMs: 2 });
  });

  it.each([
    ['binary for text', text('a'), bytes('a 1')],
    ['text for binary', bytes('a'), text('a 1')],
  ])('takes %s for a reply to nothing: the opcode belongs to the echo', (_, sent, reply) => {
    const conversation = new Conversation();
    conversation.setMatching({ by: 'suffix' });
    conversation.recordSent(sent, 0);
    conversation.recordReceived(reply, 1);
    expect(conversation.snapshot().counts).toMatchObject({ echoed: 0, waiting: 1 });
  });

  it('judges what was said anew when one says how replies are matched, and after the end, too', () => {
    const conversation = new Conversation();
    conversation.recordReceived(text('welcome'), 0);
    conversation.recordSent(text('{"k": 1}'), 1);
    conversation.recordReceived(text('{"k": 1, "of": "another protocol"}'), 4);
    expect(conversation.snapshot().counts).toMatchObject({ ignored: 2, waiting: 1, echoed: 0 });
    expect(conversation.snapshot().roundTrips).toBeNull();

    conversation.setMatching({ by: 'json', path: 'k' });
    const { counts, entries, roundTrips } = conversation.snapshot();
    expect(counts).toMatchObject({ sent: 1, received: 2, ignored: 1, echoed: 1, waiting: 0 });
    expect(entries).toMatchObject([
      { verdict: 'ignored' },
      { fate: 'answered' },
      { verdict: 'echoed', answers: { number: 1 }, roundTripMs: 3 },
    ]);
    expect(roundTrips).toMatchObject({ sampleCount: 1, lastMs: 3 });

    expect(conversation.endConnection()).toBe(0);
    conversation.setMatching({ by: 'exact' });
    const after = conversation.snapshot();
    expect(after.counts).toMatchObject({ corrupt: 1, ignored: 1, echoed: 0 });
    conversation.recordSent(text('x'), 9);
    expect(conversation.snapshot().counts).toMatchObject({ sent: 2, corrupt: 1, waiting: 1 });
  });

  it('owes nothing to what a server that never answered was sent', () => {
    const conversation = new Conversation();
    conversation.recordSent(text('a'), 0);
    expect(conversation.endConnection()).toBe(0);
    expect(conversation.snapshot().entries).toMatchObject([{ fate: 'one_way' }]);
    conversation.recordSent(text('b'), 1);
    conversation.recordReceived(text('b 1'), 2);
    conversation.endConnection();
    // Now it is known to answer: also on the next connection to it.
    conversation.recordSent(text('c'), 3);
    expect(conversation.endConnection()).toBe(1);
    const { counts } = conversation.snapshot();
    expect(counts).toMatchObject({ sent: 3, oneWay: 1, echoed: 1, lost: 1 });
    conversation.forgetForm();
    conversation.recordSent(text('d'), 4);
    expect(conversation.endConnection()).toBe(0);
  });

  it('clears its log without forgetting what it counted or what it waits for', () => {
    const conversation = new Conversation();
    conversation.recordSent(text('a'), 0);
    conversation.recordSent(text('b'), 0);
    conversation.recordReceived(text('a 1'), 1);
    conversation.clearLog();
    conversation.recordReceived(text('b 1'), 2);
    const { counts, dropped, entries } = conversation.snapshot();
    expect(entries).toMatchObject([{ kind: 'received', answers: { number: 2 } }]);
    expect(dropped).toBe(0);
    expect(counts).toMatchObject({ sent: 2, echoed: 2 });
  });

  it('counts afresh from what still waits, and numbers on', () => {
    const conversation = new Conversation();
    for (const message of ['a', 'b']) conversation.recordSent(text(message), 0);
    conversation.recordReceived(text('a 1'), 1);
    conversation.restartCounts();
    expect(conversation.snapshot().counts).toMatchObject({ sent: 1, waiting: 1, echoed: 0 });
    conversation.recordSent(text('c'), 2);
    expect(conversation.snapshot().entries.at(-1)).toMatchObject({ number: 3 });
  });

  it('goes on from the log of the page before a reload, numbers on and counts afresh', () => {
    const before = new Conversation<string>();
    before.recordSent(text('a'), 1);
    before.recordReceived(text('a 1'), 2);
    before.recordSent(binaryPayload(new Uint8Array([0, 0x80, 0xff])), 3);
    before.recordNotice('closed', 4);
    const after = new Conversation<string>();
    expect(after.restoreLog(before.keepLog())).toBe(0);
    after.recordSent(text('b'), 5);
    const { counts, entries } = after.snapshot();
    expect(counts).toMatchObject({ sent: 1, received: 0, waiting: 1 });
    expect(entries).toMatchObject([
      { id: 0, kind: 'sent', number: 1, fate: 'answered', payload: text('a') },
      { id: 1, kind: 'received', roundTripMs: 1, answers: { number: 1, suffix: '1' } },
      // What waited for its reply will not get it any more.
      { id: 2, number: 2, fate: 'lost', payload: binaryPayload(new Uint8Array([0, 0x80, 0xff])) },
      { id: 3, kind: 'notice', notice: 'closed' },
      { id: 4, number: 3, fate: 'waiting' },
    ]);
    expect(entries.map(({ atMs }) => Math.round(atMs))).toEqual([1, 2, 3, 4, 5]);
  });

  it('keeps for a reload what there is room for, and says how many older entries are missing', () => {
    const before = new Conversation<string>();
    for (let number = 0; number < 2_500; number++) before.recordSent(text('x'.repeat(300)), number);
    const after = new Conversation<string>();
    const left = after.restoreLog(before.keepLog()) ?? NaN;
    const { entries } = after.snapshot();
    expect(left).toBeGreaterThan(500);
    expect(left + entries.length).toBe(2_500);
    expect(entries.at(-1)).toMatchObject({ number: 2_500 });
  });

  it.each([null, '', '7', '{"entries": 1}', '{"entries": [null]}'])(
    'takes nothing from %j, which is no log of ours',
    (kept) => {
      const conversation = new Conversation();
      expect(conversation.restoreLog(kept)).toBeNull();
      expect(conversation.snapshot().entries).toEqual([]);
    },
  );

  it('keeps counting what its log has dropped', () => {
    const conversation = new Conversation({ entries: 2, characters: 1_000 });
    for (const message of ['a', 'b', 'c']) conversation.recordSent(text(message), 0);
    conversation.recordReceived(text('a 1'), 4);
    const { counts, dropped, entries } = conversation.snapshot();
    expect(entries).toHaveLength(2);
    expect(dropped).toBe(2);
    expect(counts).toMatchObject({ sent: 3, echoed: 1, waiting: 2 });
  });

  it('keeps its identities whatever happens', () => {
    const word = fc.constantFrom('a', 'a 1', 'a 1 2', 'b', '{"id":1}', '{"id":1,"x":0}');
    const matching = fc.constantFrom('auto', 'suffix', 'exact', 'json:id', 'off');
    const event = fc.oneof(
      fc.record({ type: fc.constant('send' as const), word }),
      fc.record({ type: fc.constant('receive' as const), word }),
      fc.record({ type: fc.constant('close' as const) }),
      fc.record({ type: fc.constant('choose' as const), by: matching }),
    );
    fc.assert(
      fc.property(fc.array(event), (events) => {
        const conversation = new Conversation({ entries: 5, characters: 20 });
        events.forEach((happening, atMs) => {
          if (happening.type === 'send') conversation.recordSent(text(happening.word), atMs);
          else if (happening.type === 'receive')
            conversation.recordReceived(text(happening.word), atMs);
          else if (happening.type === 'choose')
            conversation.setMatching(readMatching(happening.by));
          else conversation.endConnection();
        });

        const { counts, dropped, entries } = conversation.snapshot();
        const messages = events.filter(({ type }) => type === 'send' || type === 'receive').length;
        const answered = counts.echoed + counts.reordered + counts.corrupt;
        expect(counts.sent).toBe(answered + counts.lost + counts.oneWay + counts.waiting);
        const { duplicate, unexpected, ignored } = counts;
        expect(counts.received).toBe(answered + duplicate + unexpected + ignored);
        // What is judged anew is what the log still has.
        const isRejudged = events.some(({ type }) => type === 'choose');
        if (dropped === 0 || !isRejudged) expect(counts.sent + counts.received).toBe(messages);
        expect(entries.length + dropped).toBe(messages);
      }),
    );
  });
});
