import { readFile } from 'node:fs/promises';

import { startEchoServer } from './echo-server';
import { PARTS_FETCHED } from '../src/lib/lazy-part';
import { ChatPage, expect, test } from './fixtures';

test('served by the console, it offers the address of that very server', async ({ page }) => {
  const server = await startEchoServer({ console: true });
  try {
    const violations: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'error') violations.push(message.text());
    });
    await page.goto(server.consoleUrl);
    const chat = new ChatPage(page);
    await expect(chat.address).toHaveValue(server.url);
    await expect(page.getByText(`The server of this page listens at ${server.url}`)).toBeVisible();
    await expect(page.getByText(/No server yet/)).toBeHidden();
    await chat.address.fill('ws://127.0.0.1:1/');
    await page.getByRole('button', { name: 'Connect to it' }).click();
    await expect(chat.status).toContainText('Connected since');
    await chat.say('hello');
    await expect(chat.figure('Echoed')).toHaveText('1');
    expect(violations).toEqual([]);
  } finally {
    await server.stop();
  }
});

test('a console that is busy for longer than the page waits is heard all the same', async ({
  page,
  consoled,
}) => {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route('**/api/server', async (route) => {
    await released;
    await route.continue();
  });
  await page.reload();
  const chat = new ChatPage(page);
  await expect(page.getByText(/No server yet/)).toBeVisible();
  release();
  await expect(chat.address).toHaveValue(consoled.url);
  await expect(page.getByText(`The server of this page listens at ${consoled.url}`)).toBeVisible();
});

test('a console with a token asks for it once, and then shows all views', async ({ page }) => {
  const token = 'open-sesame';
  const server = await startEchoServer({ console: true, token });
  try {
    await page.goto(`${server.consoleUrl}#/load`);
    const field = page.getByLabel('The token that the server was started with');
    await field.fill('wrong');
    const denied = page.waitForResponse((answer) => answer.status() === 401);
    await page.getByRole('button', { name: 'Unlock' }).click();
    await denied;
    await expect(page.getByRole('alert')).toHaveText('The console did not take that token.');
    await expect(field).toBeFocused();
    await field.fill(token);
    await page.getByRole('button', { name: 'Unlock' }).click();
    await expect(page.getByText('None yet.')).toBeVisible();
    await page.getByRole('tab', { name: 'Server' }).click();
    await expect(page.getByText('Live', { exact: true })).toBeVisible();
    await page.reload();
    await expect(page.getByText('Live', { exact: true })).toBeVisible();
  } finally {
    await server.stop();
  }
});

test.describe('of which all parts have come', () => {
  test.use({ savesData: false });

  test('once its server has gone, the page still shows and exports what it holds, and comes back', async ({
    page,
    consoled,
  }) => {
    const chat = new ChatPage(page);
    await chat.connectAndOpen(consoled.url);
    await chat.say('precious');
    await expect(chat.figure('Echoed')).toHaveText('1');
    // What the first view does without comes by itself soon after.
    await page.waitForFunction(
      (mark) => performance.getEntriesByName(mark).length > 0,
      PARTS_FETCHED,
    );

    await consoled.stop();
    await expect(chat.log).toContainText('The server closed the connection');
    await page.getByRole('button', { name: 'More for the log' }).click();
    const download = page.waitForEvent('download');
    await page.getByRole('button', { name: /^Export as NDJSON/ }).click();
    expect(await readFile(await (await download).path(), 'utf8')).toContain('precious');
    const sent = chat.log.getByRole('listitem').filter({ hasText: 'Sent:' });
    await sent.hover();
    await sent.getByRole('button', { name: 'Details of message 1' }).click();
    await expect(page.getByRole('dialog', { name: 'Message 1, sent' })).toContainText('precious');
    await page.keyboard.press('Escape');
    await page.getByRole('tab', { name: 'Load' }).click();
    await expect(page.getByRole('region', { name: 'No console to start a run' })).toBeVisible();
    await page.getByRole('tab', { name: 'Chat' }).click();

    const again = await startEchoServer({ console: true, at: consoled });
    try {
      // It may have come by itself already.
      await page
        .getByRole('button', { name: 'Reconnect now' })
        .click({ timeout: 2_000 })
        .catch(() => undefined);
      await expect(chat.status).toContainText('Connected since');
      await chat.say('still here');
      await expect(chat.figure('Echoed')).toHaveText('2');
    } finally {
      await again.stop();
    }
  });
});
