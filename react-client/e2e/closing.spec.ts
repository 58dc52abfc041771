import { expect, test } from './fixtures';

test('tells who closed, the code and what it means when the server drains', async ({
  chat,
  ownServer: server,
}) => {
  await chat.connectAndOpen(server.url);
  await chat.say('hello');
  await expect(chat.figure('Echoed')).toHaveText('1');

  expect(await server.stop()).toBe(0);
  const notice = chat.log.getByRole('region', { name: 'The server closed the connection' });
  await expect(notice).toContainText('1001 Going away');
  await expect(notice).toContainText('The server is shutting down or restarting');
  await expect(chat.figure('Lost on close')).toHaveText('0');
});

test('keeps a message that it cannot send, and says so', async ({ chat, ownServer: server }) => {
  await chat.connectAndOpen(server.url);
  await server.stop();
  // The log keeps it; the status line goes on to the next attempt a second later.
  await expect(chat.log).toContainText('The server closed the connection');

  await chat.say('precious');
  await expect(chat.page.getByRole('alert')).toContainText('nothing was sent');
  await expect(chat.message).toHaveValue('precious');
  await expect(chat.figure('Sent')).toHaveText('0');
});

test('closes when asked to, and connects again', async ({ chat, server }) => {
  await chat.connectAndOpen(server.url);
  await chat.page.getByRole('button', { name: 'Disconnect' }).click();
  await expect(chat.status).toHaveText('Closed by you · 1000 Normal closure');
  await chat.connectAndOpen(server.url);
  await chat.say('again');
  await expect(chat.figure('Echoed')).toHaveText('1');
});

test('the status line says who closed and how, for as long as nobody tries again', async ({
  chat,
  ownServer: server,
}) => {
  await chat.reconnectByItself(false);
  await chat.connectAndOpen(server.url);
  await server.stop();
  await expect(chat.status).toHaveText('Closed by the server · 1001 Going away');
});
