import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

import type { Locator } from '@playwright/test';
import { WebSocketServer } from 'ws';

import { type ChatPage, expect, test } from './fixtures';

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

const distanceFromEndPx = (chat: ChatPage) =>
  chat.log.evaluate((log) => Math.round(log.scrollHeight - log.scrollTop - log.clientHeight));

/** Where a row stands on the screen, once it stands still. */
async function placeOf(row: Locator): Promise<number> {
  await row.scrollIntoViewIfNeeded();
  return (await row.boundingBox())?.y ?? NaN;
}

test('follows the newest message, lets go when one scrolls up, and takes it up again', async ({
  chat,
  server,
}) => {
  await chat.connectAndOpen(server.url);
  for (let i = 1; i <= 20; i++) await chat.say(`message ${String(i)}`);
  await expect(chat.figure('Echoed')).toHaveText('20');
  await expect.poll(() => distanceFromEndPx(chat)).toBe(0);
  await expect(chat.log).toHaveAttribute('aria-live', 'polite');

  await chat.message.fill('a draft\nof\nmany\nlines');
  await expect.poll(() => distanceFromEndPx(chat)).toBe(0);

  await chat.log.hover();
  await chat.page.mouse.wheel(0, -700);
  const jump = chat.page.getByRole('button', { name: 'Jump to the newest' });
  await expect(jump).toBeVisible();
  await expect(chat.log).toHaveAttribute('aria-live', 'off');
  const number = await chat.log.evaluate((log) => {
    const { left, top, height } = log.getBoundingClientRect();
    const row = document.elementFromPoint(left + 40, top + height / 2)?.closest('li');
    return /flood \d+ /.exec(row?.textContent ?? '')?.[0] ?? 'no row there';
  });
  const kept = chat.log.getByRole('listitem').filter({ hasText: number });
  const place = await placeOf(kept);
  await sendAndSee();
  await expect(kept).toBeInViewport();
  expect(await placeOf(kept)).toBeCloseTo(place, 0);
  flood.stop();
});
