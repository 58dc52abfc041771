import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { EventStreamParser } from './event-stream';

const feedAll = (...pieces: string[]) => {
  const parser = new EventStreamParser();
  return pieces.flatMap((piece) => parser.feed(piece));
};

describe('EventStreamParser', () => {
  it('reads type, id and data', () => {
    expect(feedAll('event: snapshot\nid: 17\ndata: {"a": 1}\n\n')).toEqual([
      { type: 'snapshot', data: '{"a": 1}', lastEventId: '17' },
    ]);
  });

  it('joins the lines of data, and keeps the id until another comes', () => {
    expect(feedAll('id: 1\ndata: a\ndata: b\n\ndata:c\n\n')).toEqual([
      { type: 'message', data: 'a\nb', lastEventId: '1' },
      { type: 'message', data: 'c', lastEventId: '1' },
    ]);
  });

  it('passes over comments, unknown fields and events without data', () => {
    expect(feedAll(': alive\n\nretry: 5\nevent: nothing\n\ndata\n\n')).toEqual([
      { type: 'message', data: '', lastEventId: '' },
    ]);
  });

  it('never tells an event that was cut off', () => {
    expect(feedAll('data: whole\n\ndata: half\n')).toHaveLength(1);
  });

  it('reads the same whatever the pieces and the line ends', () => {
    const stream = (end: string) =>
      ['event: a', 'id: 1', 'data: x', 'data: y', '', ': c', 'data: z', '', ''].join(end);
    const expected = feedAll(stream('\n'));
    expect(expected).toHaveLength(2);
    fc.assert(
      fc.property(
        fc.constantFrom('\n', '\r\n'),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
        (end, sizes) => {
          const text = stream(end);
          const pieces: string[] = [];
          for (let at = 0, i = 0; at < text.length; i++) {
            const size = sizes[i % sizes.length] ?? 1;
            pieces.push(text.slice(at, at + size));
            at += size;
          }
          expect(feedAll(...pieces)).toEqual(expected);
        },
      ),
    );
  });
});
