import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';

import { until } from '../../testing/until';
import { LiveFeed } from './live-feed';

type Serve = (request: IncomingMessage, answer: ServerResponse) => void;

const endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings.splice(0)) end();
});

/** A console of which `serve` says what `/api/live` answers, the first time and thereafter. */
async function feedOf(serve: Serve): Promise<LiveFeed> {
  const server = createServer(serve);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const feed = new LiveFeed({
    path: `http://127.0.0.1:${String(port)}/api/live`,
    schedule: (publish) => {
      queueMicrotask(publish);
    },
  });
  endings.push(() => {
    feed.stop();
    server.closeAllConnections();
    server.close();
  });
  return feed;
}

const HEAD = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Access-Control-Allow-Origin': '*',
};
const event = (atMs: number) =>
  `event: snapshot\nid: ${String(atMs)}\ndata: {"t_ms": ${String(atMs)}, "open": 1}\n\n`;

/** jsdom asks another origin first whether it may. */
const isQuestion = (request: IncomingMessage, answer: ServerResponse) => {
  if (request.method !== 'OPTIONS') return false;
  answer.writeHead(204, { ...HEAD, 'Access-Control-Allow-Headers': '*' }).end();
  return true;
};

describe('LiveFeed', () => {
  it('takes the history and what follows it, each once', async () => {
    const feed = await feedOf((request, answer) => {
      if (isQuestion(request, answer)) return;
      answer.writeHead(200, HEAD);
      answer.write(event(1000) + event(2000) + event(2000) + event(1000) + event(3000));
    });
    feed.start();
    const { snapshots, state } = await until(feed.store, (now) => now.snapshots.length === 3);
    expect(snapshots.map(({ atMs }) => atMs)).toEqual([1000, 2000, 3000]);
    expect(state.phase).toBe('live');
  });

  it('goes on with a server whose clock was set back, without what is yet to come by it', async () => {
    const at = (atMs: number, uptimeS: number) =>
      `event: snapshot\ndata: ${JSON.stringify({ t_ms: atMs, uptime_s: uptimeS })}\n\n`;
    const feed = await feedOf((request, answer) => {
      if (isQuestion(request, answer)) return;
      answer.writeHead(200, HEAD);
      answer.write(at(50_000, 10) + at(100_000, 60) + at(101_000, 61) + at(100_000, 60));
      answer.write(at(70_000, 62) + at(71_000, 63));
    });
    feed.start();
    const moments = ({ snapshots }: { snapshots: readonly { atMs: number }[] }) =>
      snapshots.map(({ atMs }) => atMs);
    const back = await until(feed.store, (now) => moments(now).at(-1) === 71_000);
    expect(moments(back)).toEqual([50_000, 70_000, 71_000]);
  });

  it('counts down when the server goes, and asks for what it missed', async () => {
    const asked: (string | undefined)[] = [];
    const feed = await feedOf((request, answer) => {
      if (isQuestion(request, answer)) return;
      asked.push(request.headers['last-event-id'] as string | undefined);
      answer.writeHead(200, HEAD);
      if (asked.length === 1) answer.end(event(1000));
      else answer.write(event(9000));
    });
    feed.start();
    const waiting = await until(feed.store, ({ state }) => state.phase === 'waiting');
    expect(waiting.state).toMatchObject({ problem: 'The server has gone.' });
    feed.retryNow();
    const back = await until(feed.store, (now) => now.snapshots.length === 2);
    expect(back.state.phase).toBe('live');
    expect(asked).toEqual([undefined, '1000']);
  });

  it('asks for a token rather than knocking again and again', async () => {
    let knocks = 0;
    const feed = await feedOf((request, answer) => {
      if (isQuestion(request, answer)) return;
      knocks += 1;
      answer.writeHead(401, HEAD).end('a token is needed');
    });
    feed.start();
    await until(feed.store, ({ state }) => state.phase === 'locked');
    expect(knocks).toBe(1);
  });

  it('takes a page where a stream was hoped for as no console', async () => {
    const feed = await feedOf((request, answer) => {
      if (isQuestion(request, answer)) return;
      answer.writeHead(200, { ...HEAD, 'Content-Type': 'text/html' }).end('<!doctype html>');
    });
    feed.start();
    const { state } = await until(feed.store, (now) => now.state.phase === 'waiting');
    expect(state).toMatchObject({ problem: 'No console answers.' });
  });
});
