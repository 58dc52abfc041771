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

test('sees how a server answers, finds nothing wrong with one that pushes, and can be told', async ({
  chat,
  server,
}) => {
  const { page } = chat;
  const matching = page.getByRole('combobox', { name: 'Replies matched' });
  const faults = chat.log.getByText(/^(unexpected|duplicate|corrupt|lost)$/);
  const visit = async (path: string) => {
    await page.getByRole('button', { name: 'Disconnect', exact: true }).click();
    await expect(chat.status).not.toContainText('Connected since');
    await chat.connectAndOpen(`${server.url}${path}`);
  };
  await chat.connectAndOpen(`${server.url}ticker/20ms`);
  await expect(chat.figure('Ignored')).not.toHaveText('0');
  await expect(matching).toContainText('By itself: no replies yet');

  await visit('rpc');
  await chat.say('{"jsonrpc": "2.0", "method": "echo", "params": [1], "id": "a"}');
  await expect(chat.figure('Echoed')).toHaveText('1');
  await expect(matching).toContainText('By itself: JSON id');

  await visit('login/t');
  await chat.say('{"type": "login", "token": "t"}');
  await expect(chat.figure('Ignored')).toHaveText('2');
  await chat.say('hello');
  await expect(chat.figure('Echoed')).toHaveText('1');
  await expect(chat.figure('One way')).toHaveText('1');
  await expect(faults).toHaveCount(0);

  await matching.selectOption('Exact echo');
  await expect(faults.first()).toBeVisible();
  await matching.selectOption('Not at all');
  await expect(faults).toHaveCount(0);
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
  // One goes on to what one writes; here it is what stands in between that is looked at.
  await expect(chat.message).toBeFocused();
  await chat.address.focus();
  // The log's part of the page is fetched behind the first view; one can't tab into what isn't there.
  await expect(chat.page.getByRole('button', { name: 'Filter' })).toBeVisible();
  await expect(chat.page.getByRole('combobox', { name: 'Replies matched' })).toBeVisible();

  await keyboard.press('Tab'); // Disconnect
  for (const name of ['Connection options', 'Collection', '+ Connection']) {
    await keyboard.press('Tab');
    await expect(chat.page.getByRole('button', { name })).toBeFocused();
  }
  await keyboard.press('Tab');
  await expect(chat.page.getByRole('combobox', { name: 'Replies matched' })).toBeFocused();
  for (const name of ['Filter', 'Pause', 'Latency', 'More for the log']) {
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
  // Now it is seen to answer, so that what it does not answer is lost.
  await chat.say('hello');
  await expect(chat.figure('Echoed')).toHaveText('1');
  await chat.say('x'.repeat(1024 * 1024 + 1));
  await expect(chat.log).toContainText('1009 Message too big');
  await expect(chat.log).toContainText('larger than the server accepts');
  await expect(chat.figure('Lost on close')).toHaveText('1');
});
