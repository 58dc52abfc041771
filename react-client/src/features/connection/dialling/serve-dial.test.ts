import { afterEach, expect, test } from 'vitest';

import { type ServedDial, startConsole } from '../../../testing/console-server';
import type { SocketReport, SocketRequest } from '../socket-thread';
import { serveDial } from './serve-dial';

const URL_DIALLED = 'wss://chat.example/x';
const OPENED = { t: 5, subprotocol: 'v1', extensions: '' };
const FRAME = { type: 'frame', way: 'out', opcode: 1, fin: true, rsv1: false, masked: true };
const CLOSED = {
  t: 9,
  opened: true,
  cause: 'closed',
  why: 'the server has answered our close frame',
  closed_first: 'us',
  sent: { code: 1000, reason: '' },
  received: { code: 1000, reason: '' },
};

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

/** A page's side of the talk with a socket that a console dials. */
async function dial(
  serving: Parameters<typeof startConsole>[0],
  through = '{}',
  more: Partial<Extract<SocketRequest, { type: 'open' }>> = {},
) {
  const { base, stop } = await startConsole(serving);
  stops.push(stop);
  const reports: SocketReport[] = [];
  let look: () => void = () => undefined;
  const request: (request: SocketRequest) => void = serveDial((report) => {
    reports.push(report);
    look();
  });
  request({ type: 'console', base, token: 'secret' });
  const clockOriginMs = performance.timeOrigin;
  const open = { type: 'open', url: URL_DIALLED, subprotocols: ['v1'], clockOriginMs } as const;
  request({ ...open, through, ...more });
  const until = <Type extends SocketReport['type']>(type: Type, count = 1) =>
    new Promise<Extract<SocketReport, { type: Type }>>((resolve) => {
      look = () => {
        const found = reports.filter((report) => report.type === type);
        const last = found[count - 1];
        if (last !== undefined) resolve(last as Extract<SocketReport, { type: Type }>);
      };
      look();
    });
  return { reports, request, until };
}

test('a conversation through the console is told as one through the browser', async () => {
  const form = { cookie: 'a=1', headers: 'X-Y: z', certificate: 'alice', insecure: true };
  const console = startedConsole();
  const { reports, request, until } = await dial(
    {
      onDial: (served) => {
        console.dial = served;
        served.tell('opened', OPENED);
      },
      onSend: (served, items) => {
        for (const { kind, ticket, text } of items) {
          if (kind === 'close') served.tell('closed', CLOSED);
          else {
            served.tell('records', [
              { ...FRAME, t: 6, wire: 5, plain: 5, ticket },
              { ...FRAME, way: 'in', masked: false, t: 7.5, wire: 7, plain: 7 },
              { type: 'message', t: 7.5, text: `${String(text)} 1` },
              { type: 'message', t: 8, base64: 'AP8=' },
            ]);
          }
        }
      },
    },
    JSON.stringify(form),
  );
  const opened = await until('opened');
  expect(opened).toMatchObject({ handshakeMs: 5, subprotocol: 'v1', extensions: '' });
  expect(console.dial.order).toEqual({
    url: URL_DIALLED,
    subprotocols: ['v1'],
    headers: [
      ['Cookie', 'a=1'],
      ['X-Y', 'z'],
    ],
    certificate: 'alice',
    insecure: true,
    compression: true,
  });
  expect(console.dial.headers).toMatchObject({
    authorization: 'Bearer secret',
    'content-type': 'application/json',
  });

  request({ type: 'send', ticket: 7, data: 'hello' });
  await until('received', 2);
  request({ type: 'close' });
  const closed = await until('closed');
  expect(closed.report).toEqual({
    url: URL_DIALLED,
    code: 1000,
    reason: '',
    closedBy: 'page',
    hadOpened: true,
    cause: 'closed',
    why: CLOSED.why,
  });
  // A message is said to be sent before its echo is, by the console's clock.
  const said = reports.filter(({ type }) => type === 'sent' || type === 'received');
  expect(said.map(({ type }) => type)).toEqual(['sent', 'received', 'received']);
  expect(said).toMatchObject([
    { ticket: 7, atMs: opened.atMs + 1 },
    { data: 'hello 1', atMs: opened.atMs + 2.5 },
    { data: new Uint8Array([0, 255]).buffer, atMs: opened.atMs + 3 },
  ]);
  expect(reports.findLast(({ type }) => type === 'frames')).toMatchObject({
    frames: [{ way: 'out' }, { way: 'in' }],
  });
});

test('many messages take few requests, and a long one goes in parts', async () => {
  const console = startedConsole();
  const { request, until } = await dial({
    onDial: (served) => {
      console.dial = served;
      served.tell('opened', OPENED);
    },
    onSend: (served, items) => {
      for (const { ticket } of items) {
        if (ticket !== undefined) served.tell('records', [{ ...FRAME, t: 6, ticket }]);
      }
    },
  });
  await until('opened');
  const long = 'aü世🌍'.repeat(20_000);
  const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => index % 251);
  request({ type: 'send', ticket: 1, data: long });
  request({ type: 'send', ticket: 2, data: bytes });
  for (let ticket = 3; ticket <= 1_000; ticket++) {
    request({ type: 'send', ticket, data: `message ${String(ticket)}` });
  }
  await until('sent', 1_000);
  const items = console.dial.sent.flat();
  const bytesOf = (kind: string) =>
    Buffer.concat(
      items
        .filter((item) => item.kind === kind && typeof item.base64 === 'string')
        .map(({ base64 }) => Buffer.from(base64 as string, 'base64')),
    );
  expect(bytesOf('text').toString()).toBe(long);
  expect(bytesOf('binary').equals(bytes)).toBe(true);
  const ended = items.filter(({ more }) => more !== true).map(({ ticket }) => ticket);
  expect(ended).toEqual(Array.from({ length: 1_000 }, (_, index) => index + 1));
  expect(console.dial.sent.length).toBeLessThan(30);
  for (const one of console.dial.sent) expect(JSON.stringify(one).length).toBeLessThan(64_000);
});

test('a console that does not dial is quoted', async () => {
  const error = 'this console does not dial chat.example:443: start the server with …';
  const { reports, until } = await dial({
    onDial: () => undefined,
    refusal: { status: 403, error },
  });
  await until('refused');
  expect(reports).toEqual([{ type: 'refused', problem: error }]);
});

test('a line that is no header is named, and nothing is asked', async () => {
  const { until } = await dial(
    { onDial: () => expect.unreachable() },
    JSON.stringify({ headers: 'no colon' }),
  );
  expect(await until('refused')).toEqual({
    type: 'refused',
    problem: '“no colon” is no header: write it Name: value.',
  });
});

test('a refusal comes with its cause, and so does an end that a browser calls 1006', async () => {
  const end = { t: 9, closed_first: null, sent: null, received: null };
  for (const [opened, cause] of [
    [false, 'refused'],
    [true, 'reset'],
  ] as const) {
    const { until } = await dial({
      onDial: (served) => {
        if (opened) served.tell('opened', OPENED);
        served.tell('closed', { ...end, opened, cause, why: `it was ${cause}` });
        served.end();
      },
    });
    expect((await until('closed')).report).toEqual({
      url: URL_DIALLED,
      code: 1006,
      reason: '',
      closedBy: 'unknown',
      hadOpened: opened,
      cause,
      why: `it was ${cause}`,
    });
  }
});

test('a stream that ends by itself is the end of its connection', async () => {
  const { until } = await dial({
    onDial: (served) => {
      served.tell('opened', OPENED);
      served.end();
    },
  });
  const { report } = await until('closed');
  expect(report).toMatchObject({ code: 1006, closedBy: 'unknown', hadOpened: true });
  expect(report.why).toContain('console');
});

test('who gives up an attempt leaves the stream', async () => {
  const console = startedConsole();
  const { request, until } = await dial({
    onDial: (served) => {
      console.dial = served;
    },
  });
  await until('step');
  request({ type: 'close' });
  const { report } = await until('closed');
  expect(report).toMatchObject({ code: 1006, closedBy: 'page', hadOpened: false });
  await console.dial.left;
});

test('what a plan sends is told when it has been sent, and the plan ends with the connection', async () => {
  const { request, until } = await dial({
    onDial: (served) => {
      served.tell('opened', OPENED);
    },
    onSend: (served, items) => {
      for (const { ticket } of items) served.tell('records', [{ ...FRAME, t: 6, ticket }]);
    },
  });
  await until('opened');
  request({
    type: 'start',
    planId: 4,
    plan: { kind: 'repeat', data: 'n {seq}', intervalMs: 1, count: 3 },
  });
  const last = await until('planned', 3);
  expect(last).toMatchObject({ planId: 4, data: 'n 3' });
  expect(last.lateMs).toBeGreaterThanOrEqual(0);
  expect(await until('planEnded')).toMatchObject({ planId: 4, why: 'done' });
});

test('what a connection sends by itself goes out, and is told by what has sent it', async () => {
  const console = startedConsole();
  const automation = {
    onOpen: ['login'],
    heartbeat: null,
    rules: [{ when: { kind: 'equals', text: 'ping' }, send: 'pong' }],
  } as const;
  const { request, until } = await dial(
    {
      onDial: (served) => {
        console.dial = served;
        served.tell('opened', OPENED);
      },
      onSend: (served, items) => {
        for (const { ticket, text } of items) {
          served.tell('records', [{ ...FRAME, t: 6, ticket }]);
          if (text === 'login') served.tell('records', [{ type: 'message', t: 7, text: 'ping' }]);
        }
      },
    },
    JSON.stringify({ headers: 'X-Y: typed' }),
    { automation, headers: [['Authorization', 'saved']] },
  );
  expect(await until('automatic')).toMatchObject({ data: 'login', by: { kind: 'open' } });
  expect(await until('automatic', 2)).toMatchObject({ data: 'pong', by: { rule: 1 } });
  expect(console.dial.order).toMatchObject({
    headers: [
      ['Authorization', 'saved'],
      ['X-Y', 'typed'],
    ],
  });
  request({ type: 'close', code: 1011, reason: 'enough' });
  await until('frames', 2);
  while (console.dial.sent.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(console.dial.sent[2]).toEqual([{ kind: 'close', code: 1011, text: 'enough' }]);
});

/** Filled in once the page has dialled. */
function startedConsole() {
  return {} as { dial: ServedDial };
}
