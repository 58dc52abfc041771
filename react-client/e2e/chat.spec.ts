import { expect, test } from './fixtures';

test('chats with the server: suffix apart, round-trip time, verdict', async ({ chat, server }) => {
  await chat.connectAndOpen(server.url);
  await chat.say('hello');

  const reply = chat.log.getByRole('listitem').filter({ hasText: 'Received:' });
  await expect(reply).toHaveCount(1);
  await expect(reply).toContainText(/Received: hello\s+suffix (0|[1-9]\d{0,5})Round trip/);
  await expect(reply).toContainText(/Round trip <?\s?[\d.,]+\sms/);
  await expect(reply.getByText(/^suffix \d+$/)).toHaveText(/^suffix (0|[1-9]\d{0,5})$/);

  await expect(chat.figure('Sent')).toHaveText('1');
  await expect(chat.figure('Echoed')).toHaveText('1');
  for (const name of ['Waiting', 'Lost on close', 'Unexpected', 'Duplicate', 'Reordered']) {
    await expect(chat.figure(name)).toHaveText('0');
  }
  await expect(chat.page.getByText('Every message came back right.')).toBeVisible();
  await expect(chat.figure('Last')).toHaveText(/ms$/);
});

test('is not led astray by messages that look like replies', async ({ chat, server }) => {
  await chat.connectAndOpen(server.url);
  const messages = [
    '1',
    '1 2',
    '1 2',
    '1 2 3',
    'two\nlines 7',
    '  spaces  ',
    'ça va 👋',
    '{"a": 1}',
  ];
  for (const message of messages) await chat.say(message);
  await expect(chat.figure('Echoed')).toHaveText(String(messages.length));
  await expect(chat.figure('Unexpected')).toHaveText('0');
  await expect(chat.figure('Waiting')).toHaveText('0');
});

test('takes an exact echo for one: /plain adds no suffix', async ({ chat, server }) => {
  await chat.connectAndOpen(`${server.url}plain`);
  await chat.say('1 2');
  const reply = chat.log.getByRole('listitem').filter({ hasText: 'Received:' });
  await expect(reply).toContainText('Received: 1 2');
  await expect(reply).not.toContainText('suffix');
  await expect(chat.figure('Echoed')).toHaveText('1');
});

test('can be done by keyboard alone', async ({ chat, server }) => {
  const { keyboard } = chat.page;
  await keyboard.press('Tab');
  await expect(chat.page.getByRole('tab', { name: 'Chat' })).toBeFocused();
  for (const name of ['Copy a link to this', 'Keyboard shortcuts', /Switch to the/]) {
    await keyboard.press('Tab');
    await expect(chat.page.getByRole('button', { name })).toBeFocused();
  }
  await keyboard.press('Tab');
  await expect(chat.address).toBeFocused();
  await keyboard.press('ControlOrMeta+a');
  await keyboard.type(server.url);
  await keyboard.press('Enter');
  await expect(chat.status).toContainText('Connected since');
  // The log's part of the page is fetched behind the first view; one can't tab into what isn't there.
  await expect(chat.page.getByRole('button', { name: 'Filter' })).toBeVisible();

  await keyboard.press('Tab'); // Disconnect
  const buttons = ['Connection options', '+ Connection', 'Filter', 'Pause', 'Latency'];
  for (const name of [...buttons, 'More for the log']) {
    await keyboard.press('Tab');
    await expect(chat.page.getByRole('button', { name })).toBeFocused();
  }
  await keyboard.press('Tab');
  await expect(chat.log).toBeFocused();
  await keyboard.press('Tab');
  await expect(chat.message).toBeFocused();
  await keyboard.type('by hand');
  await keyboard.press('Enter');
  await expect(chat.figure('Echoed')).toHaveText('1');

  await keyboard.press('Shift+Tab');
  await expect(chat.page.getByRole('button', { name: 'Details of reply' })).toBeFocused();
  await keyboard.press('ArrowUp');
  await keyboard.press('Enter');
  const details = chat.page.getByRole('dialog', { name: 'Message 1, sent' });
  await expect(details).toContainText('by hand');
  await keyboard.press('Escape');
  await expect(details).toBeHidden();
});

test('a message that is too big closes with 1009, explained', async ({ chat, server }) => {
  await chat.connectAndOpen(server.url);
  await chat.say('x'.repeat(1024 * 1024 + 1));
  await expect(chat.log).toContainText('1009 Message too big');
  await expect(chat.log).toContainText('larger than the server accepts');
  await expect(chat.figure('Lost on close')).toHaveText('1');
});
