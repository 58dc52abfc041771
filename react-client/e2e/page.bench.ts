import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

import type { CDPSession, Page } from '@playwright/test';
import { WebSocketServer } from 'ws';

import { expect, test } from './fixtures';

/**
 * Not tests: they measure the page, and `benchmarks/page.py` starts them. What they print holds for
 * this machine, and for a machine that does nothing else.
 */
const { BENCH_MINUTES = '30', BENCH_RATE = '5000', BENCH_SECONDS = '20' } = process.env;
const SESSION_RATE = 1_000;

test.use({ trace: 'off', screenshot: 'off', savesData: false });

/** Pushes so many messages a second to whoever connects, each with its number. */
async function startPusher(
  rate: number,
): Promise<{ url: string; sent: () => number; stop: () => void }> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  let sent = 0;
  server.on('connection', (socket) => {
    const startedAtMs = performance.now();
    const timer = setInterval(() => {
      const due = Math.floor(((performance.now() - startedAtMs) / 1000) * rate);
      while (sent < due) {
        sent += 1;
        socket.send(
          `{"type": "tick", "seq": ${String(sent)}, "price": ${(sent * 1.37).toFixed(2)}}`,
        );
      }
    }, 5);
    socket.on('close', () => clearInterval(timer));
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `ws://127.0.0.1:${String(port)}/`,
    sent: () => sent,
    stop: () => {
      for (const client of server.clients) client.terminate();
      server.close();
    },
  };
}

/** How often the page was drawn within so many seconds, and the longest time without. */
function countFrames(page: Page, seconds: number): Promise<{ frames: number; longestMs: number }> {
  return page.evaluate(
    (forMs) =>
      new Promise<{ frames: number; longestMs: number }>((resolve) => {
        const beganMs = performance.now();
        let [frames, lastMs, longestMs] = [0, beganMs, 0];
        const draw = () => {
          const nowMs = performance.now();
          longestMs = Math.max(longestMs, nowMs - lastMs);
          lastMs = nowMs;
          frames += 1;
          if (nowMs - beganMs < forMs) requestAnimationFrame(draw);
          else resolve({ frames, longestMs });
        };
        requestAnimationFrame(draw);
      }),
    seconds * 1000,
  );
}

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}

interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

function nameOf({ functionName, url, lineNumber, columnNumber }: CallFrame): string {
  const file = url.replace(/.*\//, '');
  const place = url === '' ? '' : ` ${file}:${String(lineNumber)}:${String(columnNumber)}`;
  return `${functionName === '' ? '(anonymous)' : functionName}${place}`;
}

/** A function that begins so is one that scrolls. */
const BEGINNING = 80;

/** Functions that scroll, by their code: in what is served their names say nothing. */
async function namesOfScrolling(page: Page, { nodes }: CpuProfile): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  const lines = new Map<string, readonly string[]>();
  for (const { callFrame } of nodes) {
    const { functionName, url, lineNumber, columnNumber } = callFrame;
    if (/scroll(?:Top|Height|To)$/.test(functionName)) found.add(nameOf(callFrame));
    if (!url.startsWith('http')) continue;
    if (!lines.has(url)) lines.set(url, (await (await page.request.get(url)).text()).split('\n'));
    const code = lines.get(url)?.[lineNumber]?.slice(columnNumber, columnNumber + BEGINNING);
    if (code !== undefined && /^[^}]*scrollTop\s*=[^=]/.test(code)) found.add(nameOf(callFrame));
  }
  return found;
}

/** Milliseconds of the main thread by what it did itself, the longest first. */
function selfTimes({ nodes, samples, timeDeltas }: CpuProfile): [string, number][] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]));
  const times = new Map<string, number>();
  for (const [index, id] of samples.entries()) {
    const name = names.get(id) ?? '?';
    times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0) / 1000);
  }
  return [...times].sort((a, b) => b[1] - a[1]);
}

/** What a page may have too much of after a while, once what nobody holds is gone. */
interface Footprint {
  readonly heapMb: number;
  readonly nodes: number;
  readonly listeners: number;
}

async function footprintOf(devtools: CDPSession): Promise<Footprint> {
  await devtools.send('HeapProfiler.collectGarbage');
  const { usedSize } = (await devtools.send('Runtime.getHeapUsage')) as { usedSize: number };
  const { nodes, jsEventListeners } = (await devtools.send('Memory.getDOMCounters')) as {
    nodes: number;
    jsEventListeners: number;
  };
  return { heapMb: usedSize / 1e6, nodes, listeners: jsEventListeners };
}

test(`${BENCH_RATE} messages a second for ${BENCH_SECONDS} s`, async ({ chat }) => {
  test.setTimeout(600_000);
  const { page } = chat;
  const seconds = Number(BENCH_SECONDS);
  const pusher = await startPusher(Number(BENCH_RATE));
  const devtools = await page.context().newCDPSession(page);
  await chat.connectAndOpen(pusher.url);
  await expect(chat.log.getByRole('listitem').first()).toBeVisible();
  await devtools.send('Profiler.enable');
  await devtools.send('Profiler.setSamplingInterval', { interval: 500 });
  await devtools.send('Profiler.start');
  const { frames, longestMs } = await countFrames(page, seconds);
  const { profile } = (await devtools.send('Profiler.stop')) as { profile: CpuProfile };
  const sent = pusher.sent();
  pusher.stop();
  const scrolling = await namesOfScrolling(page, profile);
  const times = selfTimes(profile);
  const total = times.reduce((sum, [, ms]) => sum + ms, 0);
  const share = (fits: (name: string) => boolean) => {
    const ms = times.filter(([name]) => fits(name)).reduce((sum, [, each]) => sum + each, 0);
    return `${((ms / total) * 100).toFixed(1)} %`;
  };
  console.log(
    [
      `${BENCH_RATE} messages/s for ${BENCH_SECONDS} s (${String(sent)} sent): ` +
        `${(frames / seconds).toFixed(1)} fps, longest without a frame ${longestMs.toFixed(0)} ms`,
      `main thread: idle ${share((name) => name === '(idle)')}, ` +
        `scrolling (scrollTop, with the layout that it asks for) ${share((name) => scrolling.has(name))}, ` +
        `garbage ${share((name) => name === '(garbage collector)')}`,
      ...times
        .slice(0, 16)
        .map(([name, ms]) => `  ${((ms / total) * 100).toFixed(1).padStart(5)} %  ${name}`),
    ].join('\n'),
  );
});

test(`a session of ${BENCH_MINUTES} minutes at ${String(SESSION_RATE)} messages a second`, async ({
  chat,
}) => {
  const minutes = Number(BENCH_MINUTES);
  test.setTimeout((minutes * 2 + 5) * 60_000);
  const { page } = chat;
  const pusher = await startPusher(SESSION_RATE);
  const devtools = await page.context().newCDPSession(page);
  await chat.connectAndOpen(pusher.url);
  const beganMs = performance.now();
  const found: Footprint[] = [];
  for (let minute = 0; minute <= minutes; minute++) {
    // By the clock: what looking takes is no part of a minute.
    await page.waitForTimeout(Math.max(0, beganMs + minute * 60_000 - performance.now()));
    const footprint = await footprintOf(devtools);
    found.push(footprint);
    const [sent, goneS] = [pusher.sent(), (performance.now() - beganMs) / 1000];
    const received = Number((await chat.figure('Ignored').innerText()).replace(/\D/g, ''));
    const rows = await chat.log.getByRole('listitem').count();
    console.log(
      `minute ${String(minute).padStart(3)}: heap ${footprint.heapMb.toFixed(1)} MB, ` +
        `${String(footprint.nodes)} nodes, ${String(footprint.listeners)} listeners, ` +
        `${String(rows)} rows; ${String(received)} received of ${String(sent)} sent ` +
        `(${(sent / Math.max(goneS, 1)).toFixed(0)}/s)`,
    );
  }
  pusher.stop();
  // The log is full after 100 s: what grows after that is no log.
  const [first, last] = [found[3], found.at(-1)];
  if (first !== undefined && last !== undefined && last !== first) {
    const grown = (of: keyof Footprint, digits = 0) => {
      const by = last[of] - first[of];
      return `${by >= 0 ? '+' : ''}${by.toFixed(digits)}`;
    };
    console.log(
      `from minute 3 to the end: ${grown('heapMb', 1)} MB, ${grown('nodes')} nodes, ` +
        `${grown('listeners')} listeners`,
    );
  }
});
