import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { EventStreamParser, readEventStream } from './event-stream';

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

describe('readEventStream', () => {
  it('leaves no connection open behind a listener that failed', async () => {
    const server = createServer((_, response) => {
      response.setHeader('Access-Control-Allow-Origin', '*');
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write('data: hello\n\n');
      response.once('close', () => server.emit('left'));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const left = once(server, 'left');
    const { port } = server.address() as AddressInfo;
    const reading = readEventStream(`http://127.0.0.1:${String(port)}/`, {
      signal: new AbortController().signal,
      onEvent: () => {
        throw new Error('cannot take it');
      },
    });
    await expect(reading).rejects.toThrow('cannot take it');
    await left;
    server.close();
  });
});
