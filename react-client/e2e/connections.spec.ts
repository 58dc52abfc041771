import { startEchoServer } from './echo-server';
import { expect, test } from './fixtures';

test('offers subprotocols, and says which one the server took', async ({ chat, server }) => {
  const { page } = chat;
  await page.getByRole('button', { name: 'Connection options' }).click();
  const options = page.getByRole('dialog', { name: 'Connection options' });
  const field = options.getByRole('textbox', { name: 'Subprotocols to offer' });
  await field.fill('a/b');
  await expect(options.getByText('“a/b” cannot be a subprotocol’s name.')).toBeVisible();
  await field.fill('chat.v2, chat');
  await page.keyboard.press('Escape');
  await chat.connectAndOpen(server.url);
  await expect(chat.log).toContainText('subprotocol chat.v2');
});

test('connects again by itself when the server is back, with a countdown one may cut short', async ({
  chat,
}) => {
  const first = await startEchoServer();
  await chat.connectAndOpen(first.url);
  await first.stop();
  await expect(chat.log).toContainText('The server closed the connection');
  await expect(chat.log).toContainText('Attempt 1 came to nothing');
  // Between two attempts, of which each waits longer for the next.
  await expect(chat.page.getByRole('timer')).toHaveText(/^Attempt \d+ in \d+ s$/);

  const second = await startEchoServer({ at: first });
  // It may have come by itself already.
  await chat.page
    .getByRole('button', { name: 'Reconnect now' })
    .click({ timeout: 2_000 })
    .catch(() => undefined);
  await expect(chat.status).toContainText('Connected since');
  await chat.say('hello again');
  await expect(chat.figure('Echoed')).toHaveText('1');

  await second.stop();
  await chat.page.getByRole('button', { name: 'Stop trying' }).click();
  // An attempt may have come to nothing before the click.
  await expect(chat.status).toHaveText(
    /^(Closed by the server · 1001 Going away|No connection|Not connected)$/,
  );
  await expect(chat.page.getByRole('timer')).toBeHidden();
  await expect(chat.page.getByRole('button', { name: 'Connect', exact: true })).toBeVisible();
});

test('holds several connections side by side, each with a log and a verdict of its own', async ({
  chat,
  server,
}) => {
  const { page } = chat;
  await chat.connectAndOpen(server.url);
  await chat.say('to the first');
  await expect(chat.figure('Echoed')).toHaveText('1');

  await page.getByRole('tab', { name: 'Chat' }).focus();
  await page.keyboard.press('n');
  const second = page.getByRole('region', { name: 'Connection 2' });
  await second.getByRole('combobox', { name: 'Address' }).fill(`${server.url}duplicate/1`);
  await second.getByRole('button', { name: 'Connect', exact: true }).click();
  await expect(second.getByRole('status').first()).toContainText('Connected since');
  const message = second.getByRole('textbox', { name: 'Message' });
  await message.fill('to the second');
  await message.press('Enter');
  await expect(second.getByText('1 duplicate reply.')).toBeVisible();

  await page.getByRole('button', { name: 'Side by side' }).click();
  const first = page.getByRole('region', { name: 'Connection 1' });
  await expect(first.getByText('Every message came back right.')).toBeVisible();
  await expect(first.getByRole('log')).not.toContainText('to the second');
  await expect(second.getByRole('log')).not.toContainText('to the first');

  await page.reload();
  await expect(page.getByRole('combobox', { name: 'Address' })).toHaveCount(2);
  await page.getByRole('button', { name: 'Close connection 1' }).click();
  await expect(page.getByRole('combobox', { name: 'Address' })).toHaveValue(
    `${server.url}duplicate/1`,
  );
});

test('remembers the addresses that answered', async ({ chat, server }) => {
  await chat.connectAndOpen(server.url);
  await chat.page.reload();
  await expect(chat.address).toHaveValue(server.url);
  await chat.address.focus();
  await expect(chat.page.locator('datalist option')).toHaveAttribute('value', server.url);
});
