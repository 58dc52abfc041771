import { expectNoViolation, ROOMY } from './axe';
import { ChatPage, expect, test } from './fixtures';

test('through the server one sets headers, and sees the handshake, the frames and the cause of a 1006', async ({
  page,
  consoled,
}) => {
  const chat = new ChatPage(page);
  await chat.reconnectByItself(false);

  // The browser does not tell why; the server does.
  await chat.connect(`${consoled.url}status/418`);
  await page.getByRole('button', { name: 'Ask through the server' }).click();
  await expect(chat.log.getByText('The server answered with HTTP 418.')).toBeVisible();
  await page.getByRole('button', { name: 'Handshake and frames' }).click();
  const dialog = page.getByRole('dialog', { name: 'Through the server' });
  await expect(dialog.getByRole('region', { name: 'Request' })).toContainText('GET /status/418');
  await expect(dialog.getByRole('region', { name: 'Response' })).toContainText('HTTP/1.1 418');
  await dialog.getByRole('button', { name: 'Close' }).click();

  // What no browser lets a page send.
  await page.getByRole('button', { name: 'Connection options' }).click();
  await page.getByRole('textbox', { name: 'Cookies' }).fill('session=42');
  await page.keyboard.press('Escape');
  await chat.connectAndOpen(`${consoled.url}info`);
  await expect(chat.log.getByText('session=42')).toBeVisible();
  await chat.say('hello');
  await expect(chat.figure('Echoed')).toHaveText('1');
  await page.getByRole('button', { name: 'Handshake and frames' }).click();
  const frames = dialog.getByRole('region', { name: 'Table of frames' });
  await expect(frames.getByRole('row').filter({ hasText: 'out' })).toContainText('text');
  await expect(frames.getByRole('row').filter({ hasText: '↓ in' })).toHaveCount(2);
  await expectNoViolation(page, [ROOMY]);
  await dialog.getByRole('button', { name: 'Close' }).click();
  await page.getByRole('button', { name: 'Disconnect' }).click();
  await expect(chat.log.getByText('You closed the connection')).toBeVisible();

  await chat.connectAndOpen(`${consoled.url}drop/1`);
  await chat.say('once');
  await expect(chat.log.getByText(/reset the TCP connection/)).toBeVisible();

  // Nowhere else, unless the operator says so.
  await chat.connect('ws://192.0.2.1:9/');
  await expect(page.getByRole('alert')).toContainText('--run-target 192.0.2.1:9');
});
