import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';

import { until } from '../../testing/until';
import { LoadSession } from './load-session';

const SUMMARY = { count: 1, min: 1, mean: 1, p50: 1, p90: 1, p95: 1, p99: 1, p999: 1, max: 1 };
const LATENCY = { intended: SUMMARY, service: SUMMARY, scheduling_lag: SUMMARY };
const SOCKETS = {
  requested: 2,
  opened: 2,
  open: 2,
  opening: 0,
  not_attempted: 0,
  failed: {},
  closed: {},
};
const MESSAGES = { sent: 3, received: 2, echoed: 2, in_flight: 0, awaited: 1 };

const second = (t_s: number) => ({ t_s, open: 2, sent: 1, received: 1, p50_ms: 1, p99_ms: 1 });
const snapshot = (t_s: number) => ({
  type: 'snapshot',
  phase: 'load',
  t_s,
  connections: SOCKETS,
  messages: MESSAGES,
  latency: LATENCY,
  second: second(t_s),
});
const REPORT = {
  schema: 1,
  verdict: 'valid',
  plan: { count: 2 },
  started_at: '2026-01-02T03:04:05Z',
  connections: { ...SOCKETS, connect_ms: SUMMARY },
  messages: { ...MESSAGES, awaited: 0 },
  latency: LATENCY,
  generator: {},
  series: [second(1), second(2)],
};

const event = (type: string, data: unknown) => `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
const endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings.splice(0)) end();
});

/** A session with a console that says what `answer` says to each request. */
async function sessionWith(
  answer: (path: string, response: ServerResponse) => void,
  clockSkewMs = () => 0,
): Promise<LoadSession> {
  const server = createServer((request, response) => {
    response.setHeader('Access-Control-Allow-Origin', '*');
    response.setHeader('Access-Control-Allow-Headers', '*');
    response.setHeader('Access-Control-Allow-Methods', '*');
    if (request.method === 'OPTIONS') response.writeHead(204).end();
    else answer(`${request.method ?? ''} ${request.url ?? ''}`, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const session = new LoadSession({
    base: `http://127.0.0.1:${String(port)}/`,
    clockSkewMs,
    schedule: (publish) => {
      queueMicrotask(publish);
    },
  });
  endings.push(() => {
    session.stop();
    server.closeAllConnections();
    server.close();
  });
  return session;
}

const listOf = (state: string) =>
  JSON.stringify({ runs: [{ id: 'a1', state, plan: { count: 2 } }] });
const isStream = (path: string) => path.endsWith('/live');
const STREAM = { 'Content-Type': 'text/event-stream' };

describe('LoadSession', () => {
  it('shows the newest run as it goes, second by second, and then its report', async () => {
    let end: () => void = () => undefined;
    const session = await sessionWith((path, response) => {
      if (!isStream(path)) {
        response.end(listOf('running'));
        return;
      }
      response.writeHead(200, STREAM).write(event('snapshot', snapshot(1)));
      response.write(event('snapshot', snapshot(2)));
      end = () => void response.end(event('report', REPORT));
    });
    await session.refresh();
    const under = await until(session.store, ({ figures }) => figures?.series.length === 2);
    expect(under.figures).toMatchObject({ phase: 'load', plan: { count: 2 }, report: null });
    end();
    const over = await until(session.store, ({ figures }) => figures?.phase === 'over');
    expect(over.figures?.report).toMatchObject({ verdict: 'valid' });
  });

  it('takes up a stream that broke, and counts no second twice', async () => {
    let streams = 0;
    const session = await sessionWith((path, response) => {
      if (!isStream(path)) {
        response.end(listOf('running'));
        return;
      }
      streams += 1;
      response.writeHead(200, STREAM).write(event('snapshot', snapshot(1)));
      if (streams === 1) response.end();
      else response.write(event('snapshot', snapshot(2)));
    });
    await session.refresh();
    const { figures } = await until(session.store, (now) => now.figures?.series.length === 2);
    expect(figures?.series.map(({ t_s }) => t_s)).toEqual([1, 2]);
    expect(streams).toBe(2);
  });

  it('says which setting the console did not take, and why', async () => {
    const session = await sessionWith((path, response) => {
      if (path.startsWith('POST')) {
        response.writeHead(422).end('{"error": "duration: soon is none", "field": "duration"}');
      } else response.end('{"runs": []}');
    });
    expect(await session.start({ count: 1, duration: 'soon' })).toEqual({
      field: 'duration',
      message: 'duration: soon is none',
    });
  });

  it('says that no console answers, and keeps what it knew', async () => {
    const session = await sessionWith((_, response) => {
      response.socket?.destroy();
    });
    await session.refresh();
    const { problem, runs } = await until(session.store, (now) => now.problem !== null);
    expect(problem).toContain('No console answers');
    expect(runs).toBeNull();
  });

  it('places a run on the server’s clock, also when that is known only later', async () => {
    let skewMs = 0;
    let goOn: () => void = () => undefined;
    const session = await sessionWith(
      (path, response) => {
        if (!isStream(path)) {
          response.end(listOf('running'));
          return;
        }
        response.writeHead(200, STREAM).write(event('snapshot', snapshot(1)));
        goOn = () => void response.write(event('snapshot', snapshot(2)));
      },
      () => skewMs,
    );
    await session.refresh();
    await until(session.store, ({ figures }) => figures?.series.length === 1);
    // The server's clock is an hour ahead.
    skewMs = -3_600_000;
    goOn();
    const { figures } = await until(session.store, (now) => now.figures?.series.length === 2);
    expect(figures?.startedAtS).toBeGreaterThan(Date.now() / 1000 + 3_500);
  });

  it('does not wait for a report that it cannot read', async () => {
    let streams = 0;
    const session = await sessionWith((path, response) => {
      if (!isStream(path)) {
        response.end(listOf(streams === 0 ? 'running' : 'done'));
        return;
      }
      streams += 1;
      response.writeHead(200, STREAM).end(event('report', { ...REPORT, schema: 2 }));
    });
    await session.refresh();
    // The list is asked for again once the run is over, as far as this page can tell.
    await until(session.store, ({ runs }) => runs?.[0]?.state === 'done');
    expect(streams).toBe(1);
  });

  it('goes by the list that was asked for last, whichever comes last', async () => {
    let lists = 0;
    let answerFirst: () => void = () => undefined;
    let askedFirst: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => (askedFirst = resolve));
    const session = await sessionWith((path, response) => {
      if (isStream(path)) {
        response.writeHead(200, STREAM).write(event('snapshot', snapshot(1)));
        return;
      }
      lists += 1;
      if (lists > 1) {
        response.end(listOf('running'));
        return;
      }
      answerFirst = () => void response.end('{"runs": []}');
      askedFirst();
    });
    const first = session.refresh();
    await asked;
    await session.refresh();
    answerFirst();
    await first;
    const { runs } = await until(session.store, (now) => now.figures !== null);
    expect(runs).toHaveLength(1);
  });

  it('keeps a report for as long as the console does, and no longer', async () => {
    let hasForgotten = false;
    let fetched = 0;
    const session = await sessionWith((path, response) => {
      if (isStream(path)) response.writeHead(200, STREAM).end(event('report', REPORT));
      else if (path.endsWith('/a1')) {
        fetched += 1;
        response.end(JSON.stringify(REPORT));
      } else response.end(hasForgotten ? '{"runs": []}' : listOf('done'));
    });
    await session.refresh();
    await until(session.store, ({ figures }) => figures?.phase === 'over');
    await session.report('a1');
    expect(fetched).toBe(0);
    hasForgotten = true;
    await session.refresh();
    await session.report('a1');
    expect(fetched).toBe(1);
  });
});
