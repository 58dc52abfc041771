import type { Locator } from '@playwright/test';

import { expectNothingSideways, expectNoViolation, PHONE, ROOMY, violationsOf } from './axe';
import { ChatPage, expect, test } from './fixtures';

test('axe finds nothing wrong, from the first view to the close', async ({
  chat,
  ownServer: server,
}) => {
  await expectNoViolation(chat.page);
  await chat.connectAndOpen(server.url);
  await chat.say('hello');
  await expect(chat.page.getByText('Every message came back right.')).toBeVisible();
  await expectNoViolation(chat.page);
  await server.stop();
  await expect(chat.log).toContainText('The server closed the connection');
  await chat.say('too late');
  await chat.connect('http://');
  await expect(chat.page.getByRole('alert')).toHaveCount(2);
  await expectNoViolation(chat.page);
  await chat.connect(server.url);
  await expect(chat.log).toContainText('No connection');
  await expectNoViolation(chat.page);
});

test('axe finds nothing wrong with filter, chart, panels, dialogs and columns', async ({
  chat,
  server,
}) => {
  const { page } = chat;
  const press = (name: string) => page.getByRole('button', { name, exact: true }).click();
  await chat.connectAndOpen(server.url);
  await chat.say('{"a": 1}');
  await expect(chat.figure('Echoed')).toHaveText('1');
  await press('Filter');
  await press('Latency');
  await expect(page.getByRole('figure', { name: 'Round trip' })).toBeVisible();
  await expectNoViolation(chat.page, [ROOMY]);
  for (const name of ['Connection options', 'More for the log', 'Saved messages']) {
    await press(name);
    const panel = page.getByRole('dialog', { name });
    await expect(panel).toBeVisible();
    await expectNoViolation(chat.page, [ROOMY]);
    await page.keyboard.press('Escape');
    await expect(panel).toBeHidden();
  }
  await chat.log.getByRole('listitem').last().hover();
  await press('Details of reply to message 1');
  await expect(page.getByRole('dialog', { name: 'Message received' })).toBeVisible();
  await expectNoViolation(chat.page, [ROOMY]);
  await page.keyboard.press('Escape');
  await press('+ Connection');
  await press('Side by side');
  await expectNoViolation(chat.page, [ROOMY]);
});

test.describe('on a phone', () => {
  test.use({ viewport: PHONE });

  test('nothing needs scrolling sideways', async ({ chat, ownServer: server }) => {
    await expectNothingSideways(chat.page);
    await chat.connectAndOpen(server.url);
    await chat.say('unbroken'.repeat(40));
    await expect(chat.page.getByText('Every message came back right.')).toBeVisible();
    await server.stop();
    await expect(chat.log).toContainText('The server closed the connection');
    await expectNothingSideways(chat.page);
    await expect.poll(() => chat.log.evaluate((log) => log.scrollWidth - log.clientWidth)).toBe(0);
  });
});

test('follows the system’s theme until one chooses, and remembers the choice', async ({ chat }) => {
  const { page } = chat;
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: 'light' });
  const light = await ground();
  await page.emulateMedia({ colorScheme: 'dark' });
  await expect.poll(ground).not.toBe(light);

  await page.getByRole('button', { name: 'Switch to the light theme' }).click();
  await expect.poll(ground).toBe(light);
  await page.reload();
  await expect(page.getByRole('button', { name: 'Switch to the dark theme' })).toBeVisible();
  await expect.poll(ground).toBe(light);
});

test('what only a colour tells is told in a high-contrast theme, too', async ({
  page,
  consoled,
}) => {
  await page.emulateMedia({ forcedColors: 'active' });
  const chat = new ChatPage(page);
  await chat.connectAndOpen(consoled.url);
  const paintOf = (what: Locator) =>
    what.evaluate((element) => getComputedStyle(element).backgroundColor);
  const ground = await paintOf(page.locator('body'));
  await expect
    .poll(() => paintOf(page.getByRole('tab', { name: 'Chat' })))
    .not.toBe(await paintOf(page.getByRole('tab', { name: 'Load' })));
  await expect.poll(() => paintOf(chat.status.locator('[aria-hidden]'))).not.toBe(ground);

  await page.getByRole('tab', { name: 'Server' }).click();
  const lines = page.getByRole('figure').getByRole('listitem');
  await expect(lines.first()).toBeVisible();
  const colours = await lines.evaluateAll((entries) =>
    entries.map((entry) => getComputedStyle(entry, '::before').borderTopColor),
  );
  expect(new Set(colours).size).toBeGreaterThan(2);
});

test('axe sees what is wrong, of the dark theme its colours alone', async ({ page }) => {
  await page.setContent(
    '<!doctype html><html lang="en"><title>A page</title>' +
      '<main><h1>Words</h1><p style="color: #ccc; background: #fff">faint</p><button></button></main>',
  );
  const found = async (scheme: 'light' | 'dark') =>
    (await violationsOf(page, scheme)).map(({ id }) => id);
  expect(await found('light')).toEqual(['button-name', 'color-contrast']);
  expect(await found('dark')).toEqual(['color-contrast']);
});
