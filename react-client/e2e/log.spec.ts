import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

import type { Locator } from '@playwright/test';
import { type WebSocket as Peer, WebSocketServer } from 'ws';

import { onText, startServer } from '../src/testing/web-socket-server';
import { expect, test } from './fixtures';
import { withoutFrameEvents } from './frame-events';

/** Sends so many numbered messages of all lengths to whoever connects, and more when told. */
async function startFlood(count: number) {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 });
  let sent = 0;
  const flood = (messages: number) => {
    for (const client of server.clients) {
      for (let i = 0; i < messages; i++) {
        sent += 1;
        client.send(`flood ${String(sent)} ${'x'.repeat((sent * 7919) % 500)}`);
      }
    }
  };
  server.on('connection', () => {
    flood(count);
  });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `ws://127.0.0.1:${String(port)}/`,
    sendMore: flood,
    stop: () => {
      for (const client of server.clients) client.terminate();
      server.close();
    },
  };
}

/**
 * A server that has much to say to whoever connects, and echoes. Rows for a log to have come so; to
 * type as many takes a hundred times as long.
 */
function startTalker(count: number, text: (number: number) => string, clients: Peer[] = []) {
  return startServer((client) => {
    clients.push(client);
    for (let number = 1; number <= count; number++) client.send(text(number));
    onText(client, (said) => client.send(`${said} 7`));
  });
}

/** Where a row stands on the screen. */
async function placeOf(row: Locator): Promise<number> {
  return Math.round((await row.boundingBox())?.y ?? NaN);
}

/** Where a row stands on the screen, once it stands still: rows above it may yet be measured. */
async function lastingPlaceOf(row: Locator): Promise<number> {
  await row.scrollIntoViewIfNeeded();
  let place = NaN;
  await expect(async () => {
    const before = place;
    place = await placeOf(row);
    expect(place).toBe(before);
  }).toPass({ intervals: [250] });
  return place;
}

test('follows the newest message, lets go when one scrolls up, and takes it up again', async ({
  chat,
}) => {
  const peers: Peer[] = [];
  const server = await startTalker(36, (number) => `message ${String(number)}`, peers);
  await chat.connectAndOpen(server.url);
  await expect(chat.log.getByText('message 36')).toBeInViewport();
  for (const text of ['one', 'two']) await chat.say(text);
  await expect(chat.figure('Echoed')).toHaveText('2');
  await expect.poll(() => chat.distanceFromEndPx()).toBe(0);
  await expect(chat.log).toHaveAttribute('aria-live', 'polite');

  await chat.message.fill('a draft\nof\nmany\nlines');
  await expect.poll(() => chat.distanceFromEndPx()).toBe(0);

  await chat.scrollBack(700);
  const jump = chat.page.getByRole('button', { name: 'Jump to the newest' });
  await expect(chat.log).toHaveAttribute('aria-live', 'off');
  const read = chat.log.getByRole('listitem').filter({ hasText: 'Received: message 18' });
  const place = await lastingPlaceOf(read);

  for (const text of ['while reading back', 'and once more']) peers[0]?.send(text);
  await expect(jump).toHaveText('2 new · Jump to the newest');
  await expect.poll(() => placeOf(read)).toBe(place);

  await jump.click();
  await expect(jump).toBeHidden();
  // Not by any input, as a search or a screen reader does; it counts once the list has settled.
  await expect(async () => {
    await chat.log.evaluate((log) => {
      log.scrollTop -= 600;
    });
    await expect(jump).toBeVisible({ timeout: 1_000 });
  }).toPass();
  await jump.click();
  await expect(chat.log.getByText('and once more')).toBeInViewport();
  await expect(jump).toBeHidden();
  await chat.say('following again');
  await expect(chat.figure('Echoed')).toHaveText('3');
  await expect.poll(() => chat.distanceFromEndPx()).toBe(0);
  await server.stop();
});

test('keeps the last of a flood, says how much it dropped, and holds the reader’s place', async ({
  chat,
}) => {
  let sent = 102_000;
  const flood = await startFlood(sent);
  withoutFrameEvents(chat.page);
  await chat.connectAndOpen(flood.url);
  await expect(chat.figure('Ignored')).toHaveText('102,000', { timeout: 120_000 });
  // One entry is the notice of the connection.
  await expect(chat.page.getByText('Showing the last 100,000; 2,001 dropped')).toBeVisible();
  await expect(chat.log.getByText('flood 102000 ')).toBeInViewport();
  expect(await chat.log.getByRole('listitem').count()).toBeLessThan(100);

  await chat.scrollBack(2_000);
  const read = chat.log.getByRole('listitem').filter({ hasText: 'flood 101976 ' });
  const place = await lastingPlaceOf(read);

  flood.sendMore(500);
  sent += 500;
  await expect(chat.page.getByText('2,501 dropped')).toBeVisible();
  await expect(read).toBeInViewport();
  await expect.poll(() => placeOf(read)).toBe(place);
  await chat.page.getByRole('button', { name: /Jump to the newest/ }).click();

  await chat.log.evaluate((log) => {
    // The way back to the end comes beside the log when that is let go of.
    const watch = new MutationObserver(() => (document.title += ' let go'));
    if (log.parentElement !== null) watch.observe(log.parentElement, { childList: true });
  });
  const sendAndSee = async () => {
    flood.sendMore(300);
    sent += 300;
    await expect(chat.figure('Ignored')).toHaveText(sent.toLocaleString('en'));
  };
  // Past the bound of the log, entries go at one end as they come at the other.
  for (let round = 1; round <= 8; round++) await sendAndSee();
  await expect.poll(() => chat.distanceFromEndPx()).toBe(0);
  await expect(chat.page).toHaveTitle('echo-trio');

  await chat.log.hover();
  const flooding = (async () => {
    for (let round = 1; round <= 8; round++) await sendAndSee();
  })();
  await chat.page.mouse.wheel(0, -400);
  await flooding;
  await expect(chat.page.getByRole('button', { name: 'Jump to the newest' })).toBeVisible();
  await expect.poll(() => chat.distanceFromEndPx()).toBeGreaterThan(1_000);
  flood.stop();
});

test('still follows the end after the window has changed its shape', async ({ chat }) => {
  const server = await startTalker(24, (number) => `${String(number)} ${'words '.repeat(40)}`);
  await chat.connectAndOpen(server.url);
  for (const window of [
    { width: 320, height: 640 },
    { width: 844, height: 390 },
    { width: 1280, height: 800 },
    { width: 390, height: 420 },
  ]) {
    await chat.page.setViewportSize(window);
    // Until all rows have been measured anew.
    await expect(chat.log.getByText(/\b24 words/)).toBeInViewport();
  }
  await chat.say('the last');
  await expect(chat.log.getByText(/ the last/).last()).toBeInViewport();
  await expect(chat.page.getByRole('button', { name: /Jump to the newest/ })).toBeHidden();
  await server.stop();
});

test('shows one’s own message, wherever in the log one was reading', async ({ chat }) => {
  const server = await startTalker(60, (number) => `line ${String(number)}`);
  await chat.connectAndOpen(server.url);
  await expect(chat.log.getByText('line 60')).toBeInViewport();
  await chat.scrollBack(1_000);
  const jump = chat.page.getByRole('button', { name: /Jump to the newest/ });
  await chat.say('here I am');
  await expect(chat.log.getByText(/ here I am/).last()).toBeInViewport();
  await expect(jump).toBeHidden();
  await server.stop();
});

test('survives a reload, with what was said and when, and counts afresh', async ({
  chat,
  server,
}) => {
  await chat.connectAndOpen(server.url);
  await chat.say('precious');
  await expect(chat.figure('Echoed')).toHaveText('1');
  const sent = chat.log.getByRole('listitem').filter({ hasText: 'Sent: precious' });
  const said = await sent.textContent();
  await chat.page.reload();
  await expect(chat.log).toContainText('The page was loaded anew here');
  await expect(sent).toHaveText(said ?? '');
  await expect(chat.figure('Sent')).toHaveText('0');
  await chat.connectAndOpen(server.url);
  await chat.say('again');
  await expect(chat.log).toContainText('answers ↩ #2');
});

test('counts of one address are not those of the next', async ({ chat, server }) => {
  await chat.connectAndOpen(`${server.url}burst/2`);
  await chat.say('hello');
  await expect(chat.figure('Duplicate')).toHaveText('1');
  await chat.page.getByRole('button', { name: 'Disconnect' }).click();
  await chat.connectAndOpen(server.url);
  await expect(chat.figure('Duplicate')).toHaveText('0');
  await expect(chat.figure('Slowest')).toHaveText('–');
  await chat.say('hello');
  await expect(chat.figure('Echoed')).toHaveText('1');
  await expect(chat.figure('Sent')).toHaveText('1');
});
