import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { onText, startServer } from '../src/testing/web-socket-server';
import { expect, test } from './fixtures';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

test('says JSON and bytes, sets the suffix of both apart, and shows each from all sides', async ({
  chat,
  server,
}) => {
  const { page } = chat;
  await chat.connectAndOpen(server.url);
  await page.getByRole('radio', { name: 'JSON' }).check();
  await chat.say('{"a": ');
  await expect(page.getByRole('alert')).toContainText('Not JSON:');
  await chat.say('{"a": [1, 2]}');
  await expect(chat.figure('Echoed')).toHaveText('1');

  await page.getByRole('radio', { name: 'Binary' }).check();
  await chat.say('de 0xad');
  await expect(page.getByRole('alert')).toBeHidden();
  await expect(chat.figure('Echoed')).toHaveText('2');
  const bytes = chat.log.getByRole('listitem').filter({ hasText: 'Received: binary' });
  await expect(bytes).toContainText(/binary, 2 bytes: de ad suffix \d+Round trip/);

  const json = chat.log.getByRole('listitem').filter({ hasText: 'Received: {' });
  await json.hover();
  await json.getByRole('button', { name: 'Details of reply' }).click();
  const details = page.getByRole('dialog', { name: 'Message received' });
  await details.getByRole('button', { name: 'Indented' }).click();
  await expect(details.getByLabel('Indented')).toHaveText('{ "a": [ 1, 2 ] }');
  await details.getByRole('button', { name: 'Hex' }).click();
  await expect(details.getByLabel('Hex')).toContainText('7b 22 61 22 3a 20 5b 31');
});

test('copies a message as a Trio script that runs', async ({ chat, context, server }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const { page } = chat;
  await chat.connectAndOpen(server.url);
  await chat.say('it’s "quoted" \\ 👋');
  await expect(chat.figure('Echoed')).toHaveText('1');
  const sent = chat.log.getByRole('listitem').filter({ hasText: 'Sent:' });
  await sent.hover();
  await sent.getByRole('button', { name: 'Details of message 1' }).click();
  const copy = page.getByRole('button', { name: 'Copy as Trio' });
  await copy.click();
  await expect(copy).toHaveText('Copied');
  const script = await chat.expectCopied(/trio/);

  const { PYTHON } = process.env;
  const python = PYTHON === undefined || PYTHON === '' ? '.venv/bin/python' : PYTHON;
  const { stdout } = await promisify(execFile)(python, ['-c', script], {
    cwd: REPOSITORY,
    env: { ...process.env, PYTHONIOENCODING: 'utf-8' },
  });
  expect(stdout).toMatch(/^it’s "quoted" \\ 👋 \d+\n$/);
});

test('shows what became of a message whose details were open before its reply came', async ({
  chat,
}) => {
  const { page } = chat;
  const replies: (() => void)[] = [];
  const server = await startServer((client) => {
    onText(client, (text) => replies.push(() => client.send(`${text} 7`)));
  });
  await chat.connectAndOpen(server.url);
  await chat.say('slow');
  const sent = chat.log.getByRole('listitem').filter({ hasText: 'Sent:' });
  await sent.hover();
  await sent.getByRole('button', { name: 'Details of message 1' }).click();
  const details = page.getByRole('dialog', { name: 'Message 1, sent' });
  await expect(details).toContainText('Fatewaiting');
  for (const reply of replies) reply();
  await expect(details).toContainText('Fateanswered');
  await server.stop();
});

test('finds, pauses and clears', async ({ chat, server }) => {
  const { page } = chat;
  await chat.connectAndOpen(server.url);
  for (const message of ['apple', 'banana']) await chat.say(message);
  await expect(chat.figure('Echoed')).toHaveText('2');

  await page.getByRole('tab', { name: 'Chat' }).focus();
  await page.keyboard.press('/');
  const find = page.getByRole('searchbox', { name: 'Find in messages' });
  await find.fill('APP');
  await expect(page.getByText('2 of 4 messages pass')).toBeVisible();
  await expect(chat.log).not.toContainText('banana');
  await page.getByRole('checkbox', { name: 'Regular expression' }).check();
  await find.fill('(');
  await expect(page.getByRole('alert')).toContainText('Not a regular expression');
  await find.fill('^banana$');
  await expect(page.getByText('1 of 4 messages pass')).toBeVisible();
  await find.press('Escape');
  await expect(page.getByRole('button', { name: 'Filter' })).toBeFocused();

  await page.getByRole('button', { name: 'Pause' }).click();
  await chat.say('cherry');
  await expect(page.getByText('5 entries · 2 new while paused')).toBeVisible();
  await expect(chat.log).not.toContainText('cherry');
  await page.getByRole('button', { name: 'Pause' }).click();
  await expect(chat.log).toContainText('Sent: cherry');

  await page.getByRole('button', { name: 'More for the log' }).click();
  await page.getByRole('button', { name: /^Clear the log/ }).click();
  await expect(page.getByText('0 entries')).toBeVisible();
  await expect(chat.figure('Echoed')).toHaveText('3');
});

test('exports the log and replays it; a bad file is named by its line', async ({
  chat,
  server,
}) => {
  const { page } = chat;
  await chat.connectAndOpen(server.url);
  for (const message of ['one', 'two', 'three']) await chat.say(message);
  await expect(chat.figure('Echoed')).toHaveText('3');

  const menu = () => page.getByRole('button', { name: 'More for the log' }).click();
  await menu();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: /^Export as NDJSON/ }).click();
  const path = await (await download).path();
  const lines = (await readFile(path, 'utf8')).trim().split('\n');
  expect(lines.map((line) => (JSON.parse(line) as { type: string }).type).sort()).toEqual(
    ['opened', 'received', 'received', 'received', 'sent', 'sent', 'sent'].sort(),
  );

  await menu();
  await page.getByRole('button', { name: /^Replay an export/ }).click();
  const dialog = page.getByRole('dialog', { name: 'Replay an export' });
  const file = dialog.getByLabel('Export, NDJSON or CSV');
  const bad = Buffer.from(`${lines.join('\n')}\n{oops\n`);
  await file.setInputFiles({ name: 'bad.ndjson', mimeType: 'text/plain', buffer: bad });
  await expect(dialog.getByRole('status')).toHaveText('Line 8 is not JSON.');
  await file.setInputFiles(path);
  await expect(dialog.getByRole('status')).toContainText('3 messages over');
  await dialog.getByLabel('Timing').selectOption('All at once');
  await dialog.getByRole('button', { name: 'Start' }).click();
  await expect(chat.figure('Echoed')).toHaveText('6');
  await expect(page.getByRole('region', { name: 'Sending by itself' })).toContainText(
    'Sent 3 of 3',
  );
});

test('sends again and again until stopped, and charts the round trips', async ({
  chat,
  server,
}) => {
  const { page } = chat;
  await chat.connectAndOpen(server.url);
  await chat.message.fill('tick {seq}');
  await page.getByRole('button', { name: 'Repeat this message' }).click();
  await page.getByRole('textbox', { name: 'How often' }).fill('50');
  await page.getByRole('button', { name: 'Start' }).click();
  const strip = page.getByRole('region', { name: 'Sending by itself' });
  // How many it is by then, and which of them the log shows, is up to the machine.
  await expect(chat.figure('Echoed')).toHaveText(/^(9|\d[\d,]+)$/);
  await expect(chat.log).toContainText(/Received: tick \d+/);
  await strip.getByRole('button', { name: 'Stop' }).click();
  await expect(strip).toContainText('Stopped after');
  await expect(chat.figure('Waiting')).toHaveText('0');
  await expect(page.getByText('Every message came back right.')).toBeVisible();
  await page.getByRole('button', { name: 'Latency' }).click();
  await expect(page.getByRole('figure', { name: 'Round trip' })).toBeVisible();
});

test('saves messages for another time, and keeps the draft over a reload', async ({ chat }) => {
  const { page } = chat;
  await page.getByRole('radio', { name: 'JSON' }).check();
  await chat.message.fill('{"saved": true}');
  await page.getByRole('button', { name: 'Saved messages' }).click();
  await page.getByRole('button', { name: 'Save this message' }).click();
  await page.keyboard.press('Escape');
  await chat.message.fill('{"draft": 1}');
  await page.reload();
  await expect(chat.message).toHaveValue('{"draft": 1}');
  await expect(page.getByRole('radio', { name: 'JSON' })).toBeChecked();
  await page.getByRole('button', { name: 'Saved messages' }).click();
  await page.getByRole('dialog').getByRole('button', { name: '{"saved": true} json' }).click();
  await expect(chat.message).toHaveValue('{"saved": true}');
});
