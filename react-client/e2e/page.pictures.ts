import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { WebSocket } from 'ws';

import { startEchoServer } from './echo-server';
import { ChatPage, expect, test } from './fixtures';

const FOLDER = fileURLToPath(new URL('../../docs/images/', import.meta.url));

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };

async function haveConversation(chat: ChatPage, url: string): Promise<void> {
  await chat.connectAndOpen(url);
  const messages = ['hello', 'is anybody there?', '{"type": "ping", "id": 7}', 'ça va ?', '1 2'];
  for (const [index, message] of messages.entries()) {
    await chat.say(message);
    await expect(chat.log).toContainText(`answers ↩ #${String(index + 1)}`);
  }
}

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ viewport: DESKTOP, colorScheme });

    test(`page-${colorScheme}.png: a chat`, async ({ chat, server }) => {
      await haveConversation(chat, server.url);
      await chat.message.fill('what do you make of this');
      await chat.page.screenshot({ path: `${FOLDER}page-${colorScheme}.png` });
    });
  });
}

test.describe('phone', () => {
  test.use({ viewport: PHONE, colorScheme: 'light', deviceScaleFactor: 2 });

  test('page-phone.png: a chat that the server ended', async ({ chat, ownServer: server }) => {
    await haveConversation(chat, server.url);
    await server.stop();
    await expect(chat.log).toContainText('The server closed the connection');
    await chat.page.screenshot({ path: `${FOLDER}page-phone.png` });
  });
});

test.describe('faults', () => {
  test.use({ viewport: DESKTOP, colorScheme: 'light' });

  test('faults.png: a proxy, and what it does to what passes', async ({ page, server }) => {
    const proxy = await startEchoServer({ console: true, upstream: server.url });
    const data = { faults: '~up-swallow/10/~delay/200ms/~corrupt/25' };
    await page.request.put(`${proxy.consoleUrl}api/faults`, { data });
    const client = new WebSocket(proxy.url);
    await once(client, 'open');
    for (let number = 1; number <= 200; number++) client.send(`message ${String(number)}`);
    await page.goto(`${proxy.consoleUrl}#/server`);
    const panel = page.getByRole('region', { name: 'Faults', exact: true });
    await expect(panel).toContainText('180 came to it, 7 changed');
    await panel.screenshot({ path: `${FOLDER}faults.png` });
    client.terminate();
    await proxy.stop();
  });
});

/** A run of some seconds, with a chat beside it and the server's figures of it. */
async function haveRun(chat: ChatPage, url: string): Promise<void> {
  const { page } = chat;
  const see = (view: string) => page.getByRole('tab', { name: view }).click();
  await chat.connectAndOpen(url);
  await see('Load');
  await page.getByRole('textbox', { name: 'Sockets' }).fill('500');
  await page.getByRole('textbox', { name: 'Duration' }).fill('15s');
  await page.getByRole('textbox', { name: 'Rate of each socket' }).fill('2/s');
  await page.getByRole('textbox', { name: 'Fail if' }).fill('latency.p99>250ms');
  await page.getByRole('button', { name: 'Start the run' }).click();
  await expect(page.getByRole('button', { name: 'Cancel the run' })).toBeVisible();
  for (let second = 1; second <= 15; second++) {
    await see('Chat');
    await chat.say(`are you there? ${String(second)}`);
    await see('Load');
    await page.waitForTimeout(800);
  }
  await expect(page.getByText('Finished: the report is complete')).toBeVisible();
}

for (const { name, viewport, ...device } of [
  { name: 'light', viewport: DESKTOP, colorScheme: 'light' },
  { name: 'dark', viewport: DESKTOP, colorScheme: 'dark' },
  { name: 'phone', viewport: PHONE, colorScheme: 'light', deviceScaleFactor: 2 },
  { name: 'phone-dark', viewport: PHONE, colorScheme: 'dark', deviceScaleFactor: 2 },
] as const) {
  test.describe(name, () => {
    test.use({ viewport, ...device });

    test(`server-${name}.png and load-${name}.png: a run, seen from both ends`, async ({
      page,
      consoled,
    }) => {
      await haveRun(new ChatPage(page), consoled.url);
      const top = { x: 0, y: 0, width: viewport.width, height: viewport.height * 1.6 };
      await page.screenshot({ path: `${FOLDER}load-${name}.png`, fullPage: true, clip: top });
      await page.getByRole('tab', { name: 'Server' }).click();
      await expect(page.getByRole('figure', { name: 'Memory' })).toBeVisible();
      await page.screenshot({ path: `${FOLDER}server-${name}.png`, fullPage: true, clip: top });
    });
  });
}
