import { afterEach, describe, expect, it } from 'vitest';
import type { WebSocket as Peer } from 'ws';

import type { SocketReport } from '../features/connection/socket-thread';
import { binaryPayload, matchKey, textPayload } from '../features/conversation/payload';
import { startSocketChannel } from '../testing/socket-thread';
import { until } from '../testing/until';
import { onText, startServer } from '../testing/web-socket-server';
import { ChatSession, type ChatSnapshot } from './chat-session';

const stops: (() => Promise<void>)[] = [];

async function serverThat(serve: (client: Peer) => void): Promise<string> {
  const server = await startServer(serve);
  stops.push(server.stop);
  return server.url;
}

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** A session that publishes at once: there are no frames to wait for here. */
function newSession(): ChatSession {
  return new ChatSession({
    startThread: startSocketChannel,
    schedule: (publish) => {
      queueMicrotask(publish);
    },
  });
}

async function openSession(url: string): Promise<ChatSession> {
  const session = newSession();
  expect(await session.connect(url)).toEqual({ ok: true });
  await until(session.store, isIn('open'));
  return session;
}

function isIn(phase: ChatSnapshot['connection']['phase']) {
  return ({ connection }: ChatSnapshot) => connection.phase === phase;
}

function closeReportOf({ connection }: ChatSnapshot) {
  return connection.phase === 'closed' ? connection.report : undefined;
}

const addSuffix = (client: Peer) => {
  onText(client, (text) => {
    client.send(`${text} 7`);
  });
};

describe('ChatSession', () => {
  it('chats: each message comes back with its suffix and a round-trip time', async () => {
    const session = await openSession(await serverThat(addSuffix));
    void session.send('hello');
    void session.send('hello 7');
    const { counts, entries } = await until(session.store, (now) => now.counts.received === 2);
    expect(counts).toMatchObject({ sent: 2, echoed: 2, waiting: 0, unexpected: 0 });
    expect(entries).toMatchObject([
      { kind: 'notice', notice: { kind: 'opened' } },
      { kind: 'sent', payload: textPayload('hello') },
      { kind: 'sent', payload: textPayload('hello 7') },
      { kind: 'received', answers: { number: 1, suffix: '7' } },
      { kind: 'received', answers: { number: 2, suffix: '7' } },
    ]);
    for (const entry of entries) {
      if (entry.kind === 'received') expect(entry.roundTripMs).toBeGreaterThanOrEqual(0);
    }
  });

  it('takes an exact echo for what it is', async () => {
    const url = await serverThat((client) => {
      onText(client, (text) => {
        client.send(text);
      });
    });
    const session = await openSession(url);
    void session.send('1 2');
    const { entries } = await until(session.store, (now) => now.counts.echoed === 1);
    expect(entries.at(-1)).toMatchObject({ answers: { number: 1, suffix: null } });
  });

  it('finds the echo of a lone surrogate, which the wire cannot carry', async () => {
    const session = await openSession(await serverThat(addSuffix));
    void session.send('half a \ud83d');
    const { counts } = await until(session.store, (now) => now.counts.received === 1);
    expect(counts).toMatchObject({ echoed: 1, unexpected: 0 });
  });

  it('says who closed, with which code and reason, and counts what was lost', async () => {
    const url = await serverThat((client) => {
      onText(client, () => {
        client.close(1001, 'shutting down');
      });
    });
    const session = await openSession(url);
    session.setMatching({ by: 'suffix' });
    void session.send('anybody?');
    const closed = await until(session.store, isIn('closed'));
    expect(closeReportOf(closed)).toEqual({
      url,
      code: 1001,
      reason: 'shutting down',
      closedBy: 'server',
      hadOpened: true,
    });
    expect(closed.counts).toMatchObject({ lost: 1, waiting: 0 });
    expect(closed.entries.at(-1)).toMatchObject({ notice: { kind: 'closed', lostCount: 1 } });
  });

  it('closes when asked to, and can connect again', async () => {
    const url = await serverThat(addSuffix);
    const session = await openSession(url);
    session.disconnect();
    expect((await until(session.store, isIn('closing'))).connection.phase).toBe('closing');
    const closed = await until(session.store, isIn('closed'));
    expect(closeReportOf(closed)).toMatchObject({ code: 1000, closedBy: 'page' });

    await session.connect(url);
    await session.send('again');
    const { counts } = await until(session.store, (now) => now.counts.received === 1);
    expect(counts).toMatchObject({ echoed: 1, lost: 0 });
  });

  it('leaves one server for another, and counts what the first still owed', async () => {
    const silent = await serverThat(() => undefined);
    const session = await openSession(silent);
    session.setMatching({ by: 'suffix' });
    await session.send('anybody?');
    const echoing = await serverThat(addSuffix);
    expect(await session.reconnect(echoing)).toEqual({ ok: true });
    await session.send('hello');
    const { counts, connection } = await until(session.store, (now) => now.counts.echoed === 1);
    // What the first owed is told in the log; the counts are of the second.
    expect(counts).toMatchObject({ sent: 1, lost: 0 });
    const { entries } = session.store.getSnapshot();
    expect(entries).toContainEqual(
      expect.objectContaining({
        notice: expect.objectContaining({ kind: 'closed', lostCount: 1 }) as unknown,
      }),
    );
    expect(connection).toMatchObject({ phase: 'open', url: echoing });
  });

  it('keeps the slowest round trip of each second, on this machine’s clock', async () => {
    const startedS = Math.floor(Date.now() / 1000);
    const session = await openSession(await serverThat(addSuffix));
    await session.send('hello');
    const { times, columns } = await until(session.latency, (now) => now.times.length > 0);
    expect(times[0]).toBeGreaterThanOrEqual(startedS);
    expect(times[0]).toBeLessThanOrEqual(Math.floor(Date.now() / 1000));
    expect(columns[0]?.[0]).toBeGreaterThan(0);
  });

  it('reports a broken connection as one whose end nobody announced', async () => {
    const url = await serverThat((client) => {
      onText(client, () => {
        client.terminate();
      });
    });
    const session = await openSession(url);
    await session.send('drop me');
    const closed = await until(session.store, isIn('closed'));
    expect(closeReportOf(closed)).toMatchObject({ code: 1006, closedBy: 'unknown' });
  });

  it('reports a connection that never opened as such', async () => {
    const server = await startServer(() => undefined);
    await server.stop();
    const session = newSession();
    expect(await session.connect(server.url)).toEqual({ ok: true });
    const closed = await until(session.store, isIn('closed'));
    expect(closeReportOf(closed)).toMatchObject({ code: 1006, hadOpened: false });
  });

  it('can be told to give up connecting', async () => {
    const session = newSession();
    const connecting = session.connect(await serverThat(() => undefined));
    session.disconnect();
    await connecting;
    const closed = await until(session.store, isIn('closed'));
    expect(closeReportOf(closed)).toMatchObject({ closedBy: 'page', hadOpened: false });
  });

  it('sends nothing, and keeps nothing for later, while it is not connected', async () => {
    const session = newSession();
    expect(await session.send('too early')).toMatchObject({ ok: false });
    const connecting = session.connect(await serverThat(addSuffix));
    expect(await session.send('still too early')).toMatchObject({ ok: false });
    await connecting;
    await session.send('now');
    const { counts } = await until(session.store, (now) => now.counts.received === 1);
    expect(counts).toMatchObject({ sent: 1, echoed: 1, unexpected: 0 });
    session.disconnect();
    expect(await session.send('too late')).toMatchObject({ ok: false });
  });

  it('gives back a message that met the end of its connection', async () => {
    const session = await openSession(
      await serverThat((client) => {
        onText(client, () => {
          client.terminate();
        });
      }),
    );
    session.setMatching({ by: 'suffix' });
    const outcomes = [session.send('drop me')];
    await until(session.store, ({ connection, counts }) => {
      // Until the page hears of the end, it takes the connection for open.
      if (connection.phase === 'open' && counts.sent === 1) outcomes.push(session.send('late'));
      return connection.phase === 'closed';
    });
    const sent = (await Promise.all(outcomes)).filter(({ ok }) => ok).length;
    expect(session.store.getSnapshot().counts).toMatchObject({ sent, lost: sent, waiting: 0 });
  });

  it('refuses an empty message and a faulty address in one line', async () => {
    const session = newSession();
    expect(await session.send('')).toEqual({ ok: false, problem: 'Type a message first.' });
    expect(await session.connect('http://127.0.0.1/')).toMatchObject({ ok: false });
    expect(session.store.getSnapshot().connection.phase).toBe('idle');
  });

  it('holds one connection at a time', async () => {
    const url = await serverThat(addSuffix);
    const session = await openSession(url);
    expect(await session.connect(url)).toMatchObject({ ok: false });
  });

  it('chats in binary: the same bytes come back with the suffix in ASCII', async () => {
    const url = await serverThat((client) => {
      client.on('message', (data: Buffer, isBinary) => {
        client.send(Buffer.concat([data, Buffer.from(' 7')]), { binary: isBinary });
      });
    });
    const session = await openSession(url);
    await session.send(new Uint8Array([0, 255]));
    const { counts, entries } = await until(session.store, (now) => now.counts.received === 1);
    expect(counts).toMatchObject({ sent: 1, echoed: 1, unexpected: 0 });
    expect(entries.at(-1)).toMatchObject({
      payload: binaryPayload(new Uint8Array([0, 255, 0x20, 0x37])),
      answers: { suffix: '7' },
    });
  });

  it('offers subprotocols and tells which one the server chose', async () => {
    const session = newSession();
    const url = await serverThat(() => undefined);
    expect(await session.connect(url, { subprotocols: 'chat, mqtt' })).toEqual({ ok: true });
    const { entries } = await until(session.store, isIn('open'));
    expect(entries[0]).toMatchObject({ notice: { kind: 'opened', subprotocol: 'chat' } });
    expect(await newSession().connect(url, { subprotocols: 'a b/c' })).toEqual({
      ok: false,
      problem: '“b/c” cannot be a subprotocol’s name.',
    });
  });

  it('sends by itself as often as planned, each numbered, and says when it is done', async () => {
    const session = await openSession(await serverThat(addSuffix));
    session.start({ kind: 'repeat', data: 'tick {seq}', intervalMs: 1, count: 300 });
    const { counts, entries, sending } = await until(
      session.store,
      (now) => now.counts.received === 300 && now.sending?.state === 'done',
    );
    expect(sending).toMatchObject({ state: 'done', sent: 300, total: 300 });
    expect(counts).toMatchObject({ sent: 300, echoed: 300 });
    const sent = entries.filter(({ kind }) => kind === 'sent');
    expect(sent.at(-1)).toMatchObject({ payload: textPayload('tick 300') });
    session.dismissSending();
    await until(session.store, (now) => now.sending === null);
  });

  it('stops sending when told to, and when the connection ends', async () => {
    const session = await openSession(await serverThat(addSuffix));
    const plan = { kind: 'repeat', data: 'on and on', intervalMs: 1, count: null } as const;
    expect(session.start(plan)).toEqual({ ok: true });
    await until(session.store, (now) => now.counts.sent >= 3);
    session.stop();
    await until(session.store, (now) => now.sending?.state === 'stopped');
    session.start(plan);
    await until(session.store, (now) => (now.sending?.sent ?? 0) >= 3);
    session.disconnect();
    const { sending } = await until(session.store, isIn('closed'));
    expect(sending?.state).toBe('stopped');
    expect(session.start(plan)).toMatchObject({ ok: false });
  });
});

describe('a plan that takes the place of another', () => {
  it('runs to its own end, and counts nothing that was sent for the other', async () => {
    const session = await openSession(await serverThat(addSuffix));
    session.start({ kind: 'repeat', data: 'first', intervalMs: 1, count: null });
    await until(session.store, (now) => now.counts.sent >= 3);
    session.start({ kind: 'repeat', data: 'second', intervalMs: 1, count: 50 });
    const { counts, entries, sending } = await until(
      session.store,
      (now) => now.sending?.state !== 'running',
    );
    expect(sending).toMatchObject({ state: 'done', sent: 50, total: 50 });
    const sent = entries.filter((entry) => entry.kind === 'sent');
    const ofTheSecond = sent.filter(({ payload }) => matchKey(payload) === 'second');
    expect(ofTheSecond).toHaveLength(50);
    expect(counts.sent).toBe(sent.length);
  });
});

describe('a connection that is lost', () => {
  const RECONNECTS = { reconnects: true };

  function impatientSession(delayMs: number): ChatSession {
    return new ChatSession({
      startThread: startSocketChannel,
      schedule: (publish) => {
        queueMicrotask(publish);
      },
      retryDelayMs: () => delayMs,
    });
  }

  it('is tried again until it is there', async () => {
    let connections = 0;
    const url = await serverThat((client) => {
      connections += 1;
      if (connections < 3) client.terminate();
      else addSuffix(client);
    });
    const session = impatientSession(1);
    await session.connect(url, RECONNECTS);
    await until(
      session.store,
      ({ connection }) => connections === 3 && connection.phase === 'open',
    );
    await session.send('still there?');
    await until(session.store, (now) => now.counts.echoed === 1);
    session.disconnect();
    const { connection } = await until(session.store, isIn('closed'));
    expect(connection).not.toHaveProperty('retry');
  });

  it('counts the attempts that come to nothing, until one stops it', async () => {
    const server = await startServer(addSuffix);
    const session = impatientSession(1);
    await session.connect(server.url, RECONNECTS);
    await until(session.store, isIn('open'));
    await server.stop();
    const attempted = (attempt: number) => (now: ChatSnapshot) =>
      now.connection.phase === 'closed' && (now.connection.retry?.attempt ?? 0) >= attempt;
    const { entries } = await until(session.store, attempted(3));
    const notices = entries.flatMap((entry) =>
      entry.kind === 'notice' ? [entry.notice.kind] : [],
    );
    expect(notices.slice(0, 4)).toEqual(['opened', 'closed', 'failedAgain', 'failedAgain']);
    session.stopTrying();
    await until(session.store, (now) => isIn('closed')(now) && !('retry' in now.connection));
  });

  it('waits, and may be told to try now', async () => {
    let isKind = false;
    const url = await serverThat((client) => {
      if (!isKind) client.close(1013, 'busy');
    });
    const session = impatientSession(3_600_000);
    await session.connect(url, RECONNECTS);
    await until(session.store, ({ connection }) => 'retry' in connection);
    isKind = true;
    session.tryNow();
    await until(session.store, isIn('open'));
    session.end();
  });

  it.each([
    ['the server was done with it', 1000],
    ['the server objected to something', 1008],
  ])('is left at that where %s', async (_, code) => {
    const session = impatientSession(1);
    await session.connect(
      await serverThat((client) => {
        client.close(code);
      }),
      RECONNECTS,
    );
    const { connection } = await until(session.store, isIn('closed'));
    expect(connection).not.toHaveProperty('retry');
  });

  it('was never there: that is told at once, and left at that', async () => {
    const server = await startServer(() => undefined);
    await server.stop();
    const session = impatientSession(1);
    await session.connect(server.url, RECONNECTS);
    const { connection } = await until(session.store, isIn('closed'));
    expect(connection).not.toHaveProperty('retry');
  });
});

const OPENED = {
  type: 'opened',
  atMs: 1,
  handshakeMs: 1,
  subprotocol: '',
  extensions: '',
} as const;

/** The server's own end of a connection, whatever the page does meanwhile. */
function closedByServer(code: number): SocketReport {
  const report = { url: 'ws://127.0.0.1/', code, reason: '', hadOpened: true } as const;
  return { type: 'closed', report: { ...report, closedBy: 'server' }, atMs: 2 };
}

/** A session whose socket's thread says nothing but what the test says in its name. */
function sessionWithoutThread() {
  let report: (report: SocketReport) => void = () => undefined;
  const session = new ChatSession({
    retryDelayMs: () => 3_600_000,
    startThread: (onReport) => {
      report = onReport;
      return { post: () => undefined, end: () => undefined };
    },
  });
  return {
    session,
    report: (said: SocketReport) => {
      report(said);
    },
    open: async () => {
      const connecting = session.connect('ws://127.0.0.1/', { reconnects: true });
      report(OPENED);
      await connecting;
    },
  };
}

describe('what one asks for by a view that is a frame behind', () => {
  it('is no further attempt, though one has just begun', async () => {
    const { open, report, session } = sessionWithoutThread();
    await open();
    report(closedByServer(1001));
    session.tryNow();
    session.stopTrying();
    report({ type: 'refused', problem: 'The server is still away.' });
    expect(session.connection).toMatchObject({ phase: 'closed' });
    expect(session.connection).not.toHaveProperty('retry');
  });

  it('is no connection, though it has just been lost and is to be tried again', async () => {
    const { open, report, session } = sessionWithoutThread();
    await open();
    report(closedByServer(1001));
    session.disconnect();
    expect(session.connection).not.toHaveProperty('retry');
  });

  it.each([
    ['at another address', 'ws://127.0.0.2/'],
    ['at the same address', 'ws://127.0.0.1/'],
  ])('comes before what the page is trying by itself, %s', async (_, url) => {
    const { open, report, session } = sessionWithoutThread();
    await open();
    report(closedByServer(1001));
    session.tryNow();
    expect(session.connection).toMatchObject({ phase: 'connecting', attempt: 1 });
    const connecting = session.connect(url);
    expect(session.connection).toEqual({ phase: 'connecting', url });
    report(OPENED);
    expect(await connecting).toEqual({ ok: true });
  });

  it('is one connection, though it was asked for twice', async () => {
    const { report, session } = sessionWithoutThread();
    const outcomes = [session.connect('ws://127.0.0.1/'), session.connect('ws://127.0.0.1/')];
    report(OPENED);
    expect(await Promise.all(outcomes)).toEqual([{ ok: true }, { ok: true }]);
  });
});

describe('the end that one asked for', () => {
  it.each([
    ['of the connection', (session: ChatSession) => session.disconnect()],
    ['of all of it', (session: ChatSession) => session.end()],
  ])('%s is the end, though the server’s own crosses with it', async (_, ask) => {
    const { open, report, session } = sessionWithoutThread();
    await open();
    ask(session);
    report(closedByServer(1001));
    expect(
      closeReportOf({ ...session.store.getSnapshot(), connection: session.connection }),
    ).toMatchObject({ code: 1001, closedBy: 'server' });
    expect(session.connection).not.toHaveProperty('retry');
  });
});

describe('a connection that sends by itself', () => {
  const NOTHING = { onOpen: [], heartbeat: null, rules: [] } as const;

  it('does so first, after each opening, and the log tells by what', async () => {
    const heard: string[] = [];
    const hearing = { four: () => undefined as unknown };
    const heardFour = new Promise((resolve) => (hearing.four = () => resolve(null)));
    const url = await serverThat((client) => {
      onText(client, (text) => {
        if (heard.push(text) === 4) hearing.four();
        if (text === 'login 0') client.send('ping');
        if (text === 'pong 1') client.close(1001, 'restart');
      });
    });
    const session = new ChatSession({
      startThread: startSocketChannel,
      schedule: (publish) => {
        queueMicrotask(publish);
      },
      retryDelayMs: () => 0,
    });
    await session.connect(url, {
      reconnects: true,
      automation: {
        ...NOTHING,
        onOpen: ['login {seq}'],
        rules: [{ when: { kind: 'equals', text: 'ping' }, send: 'pong {seq}' }],
      },
    });
    const twice = await until(session.store, ({ counts }) => counts.sent >= 4);
    await heardFour;
    session.end();
    expect(heard.slice(0, 4)).toEqual(['login 0', 'pong 1', 'login 0', 'pong 1']);
    const sent = twice.entries.flatMap((entry) => (entry.kind === 'sent' ? [entry.by] : []));
    expect(sent.slice(0, 2)).toEqual([{ kind: 'open' }, { kind: 'rule', rule: 1 }]);
  });

  it('ends a loop with the server, and says so', async () => {
    const url = await serverThat((client) => {
      onText(client, (text) => {
        client.send(text.toUpperCase());
      });
    });
    const session = newSession();
    await session.connect(url, {
      automation: {
        ...NOTHING,
        onOpen: ['a'],
        rules: [{ when: { kind: 'any', text: '' }, send: 'again' }],
      },
    });
    const isStopped = ({ entries }: ChatSnapshot) =>
      entries.some((entry) => entry.kind === 'notice' && entry.notice.kind === 'ruleStopped');
    const { entries } = await until(session.store, isStopped);
    const replies = entries.filter((entry) => entry.kind === 'sent').length - 1;
    expect(
      entries.find((entry) => entry.kind === 'notice' && 'rule' in entry.notice),
    ).toMatchObject({ notice: { kind: 'ruleStopped', rule: 1, replies } });
    session.disconnect();
  });

  it('is closed with the code and the reason that one chooses', async () => {
    const closes: unknown[] = [];
    const url = await serverThat((client) => {
      client.on('close', (code, reason) => closes.push([code, reason.toString()]));
    });
    const session = await openSession(url);
    session.disconnect(4321, 'enough');
    const closed = await until(session.store, isIn('closed'));
    expect(closeReportOf(closed)).toMatchObject({ code: 4321, closedBy: 'page' });
    expect(closes).toEqual([[4321, 'enough']]);
  });
});

describe('a socket’s thread that fails', () => {
  it('before it has opened leaves the page as it was, with the reason', async () => {
    const { report, session } = sessionWithoutThread();
    const connecting = session.connect('ws://127.0.0.1/');
    report({ type: 'refused', problem: 'No threads today.' });
    expect(await connecting).toEqual({ ok: false, problem: 'No threads today.' });
    const { connection } = await until(session.store, isIn('idle'));
    expect(connection.phase).toBe('idle');
  });

  it('afterwards has broken the connection, with all that was under way on it', async () => {
    const { report, session } = sessionWithoutThread();
    session.setMatching({ by: 'suffix' });
    const connecting = session.connect('ws://127.0.0.1/');
    report(OPENED);
    await connecting;
    const first = session.send('first');
    report({ type: 'sent', ticket: 1, atMs: 2 });
    const second = session.send('second');
    report({ type: 'refused', problem: 'Out of memory.' });
    expect([(await first).ok, (await second).ok]).toEqual([true, false]);
    const closed = await until(session.store, isIn('closed'));
    expect(closed.counts).toMatchObject({ sent: 1, lost: 1 });
    expect(closeReportOf(closed)).toMatchObject({ code: 1006, closedBy: 'unknown' });
  });

  it('when it is to try again is one more attempt in vain, and not the last', async () => {
    const { open, report, session } = sessionWithoutThread();
    await open();
    report(closedByServer(1001));
    session.tryNow();
    report({ type: 'refused', problem: 'The page’s server is gone, and its script with it.' });
    expect(session.connection).toMatchObject({ phase: 'closed', retry: { attempt: 2 } });
    session.stopTrying();
  });

  it('has nothing more to say of a connection that is over', async () => {
    const { open, report, session } = sessionWithoutThread();
    await open();
    const sending = session.send('late');
    // As it comes out of one batch: the end, and what was asked after it.
    report(closedByServer(1000));
    report({ type: 'unsent', ticket: 1 });
    report(closedByServer(1000));
    expect(await sending).toMatchObject({ ok: false });
    const { entries } = await until(session.store, isIn('closed'));
    expect(entries.filter(({ kind }) => kind === 'notice')).toHaveLength(2);
  });
});
