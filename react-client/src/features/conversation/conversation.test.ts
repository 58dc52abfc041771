import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { Conversation, type Payload } from './conversation';

const text = (value: string): Payload => ({ type: 'text', text: value });

describe('Conversation', () => {
  it('sets a reply’s suffix apart and measures from handing over to receiving', () => {
    const conversation = new Conversation();
    conversation.recordSent('hello', 100);
    conversation.recordReceived(text('hello 483920'), 102.5);

    const { counts, entries, roundTrips } = conversation.snapshot();
    expect(entries).toMatchObject([
      { kind: 'sent', number: 1, text: 'hello', fate: 'answered', atMs: 100 },
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
    conversation.recordSent('a', 0);
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
    for (const message of ['a', 'b', 'c']) conversation.recordSent(message, 0);
    conversation.recordReceived(text('b 1'), 1);

    expect(conversation.endConnection()).toBe(2);
    const { counts, entries } = conversation.snapshot();
    expect(counts).toMatchObject({ sent: 3, echoed: 1, lost: 2, waiting: 0 });
    expect(entries).toMatchObject([{ fate: 'lost' }, { fate: 'answered' }, { fate: 'lost' }, {}]);
  });

  it('takes nothing on a new connection for a reply to what was sent on the last', () => {
    const conversation = new Conversation();
    conversation.recordSent('a', 0);
    conversation.recordSent('b', 0);
    conversation.recordReceived(text('b'), 1);
    conversation.endConnection();
    conversation.recordReceived(text('a'), 2);
    conversation.recordReceived(text('b'), 3);
    expect(conversation.snapshot().counts).toMatchObject({ lost: 1, unexpected: 2, duplicate: 0 });
  });

  it('takes a binary message for a reply to nothing', () => {
    const conversation = new Conversation();
    conversation.recordSent('a', 0);
    const payload = { type: 'binary', sizeBytes: 1, head: new Uint8Array([97]) } as const;
    conversation.recordReceived(payload, 1);
    expect(conversation.snapshot().counts).toMatchObject({ unexpected: 1, waiting: 1 });
  });

  it('keeps counting what its log has dropped', () => {
    const conversation = new Conversation({ entries: 2, characters: 1_000 });
    for (const message of ['a', 'b', 'c']) conversation.recordSent(message, 0);
    conversation.recordReceived(text('a 1'), 4);
    const { counts, dropped, entries } = conversation.snapshot();
    expect(entries).toHaveLength(2);
    expect(dropped).toBe(2);
    expect(counts).toMatchObject({ sent: 3, echoed: 1, waiting: 2 });
  });

  it('keeps its identities whatever happens', () => {
    const word = fc.constantFrom('a', 'a 1', 'a 1 2', 'b');
    const event = fc.oneof(
      fc.record({ type: fc.constant('send' as const), word }),
      fc.record({ type: fc.constant('receive' as const), word }),
      fc.record({ type: fc.constant('close' as const) }),
    );
    fc.assert(
      fc.property(fc.array(event), (events) => {
        const conversation = new Conversation({ entries: 5, characters: 20 });
        events.forEach((happening, atMs) => {
          if (happening.type === 'send') conversation.recordSent(happening.word, atMs);
          else if (happening.type === 'receive')
            conversation.recordReceived(text(happening.word), atMs);
          else conversation.endConnection();
        });

        const { counts, dropped, entries } = conversation.snapshot();
        const messages = events.filter(({ type }) => type !== 'close').length;
        expect(counts.sent).toBe(counts.echoed + counts.reordered + counts.lost + counts.waiting);
        expect(counts.received).toBe(
          counts.echoed + counts.reordered + counts.duplicate + counts.unexpected,
        );
        expect(counts.sent + counts.received).toBe(messages);
        expect(entries.length + dropped).toBe(messages);
      }),
    );
  });
});
