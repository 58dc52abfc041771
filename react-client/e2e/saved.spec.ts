import { readFile } from 'node:fs/promises';

import { onText, startServer } from '../src/testing/web-socket-server';
import { expectNoViolation, ROOMY } from './axe';
import { expect, test } from './fixtures';

test('saves a connection, opens it in another tab, and takes it to a file and back', async ({
  chat,
  context,
  server,
}) => {
  const { page } = chat;
  const open = () => page.getByRole('button', { name: 'Collection' }).click();
  const dialog = page.getByRole('dialog', { name: 'Collection' });
  const list = dialog.getByRole('list', { name: 'Saved connections' });

  await chat.address.fill(`${server.url}delay/1ms`);
  await open();
  await dialog.getByRole('textbox', { name: 'Save this chat’s connection as' }).fill('one');
  await dialog.getByRole('button', { name: 'Save', exact: true }).click();
  await expect(list.getByRole('listitem')).toHaveCount(1);
  await expectNoViolation(page, [ROOMY]);
  await dialog.getByRole('button', { name: 'Duplicate one' }).click();
  await expect(list.getByRole('listitem')).toHaveCount(2);

  // The browser's own database, seen from a second tab while the first is there.
  const other = await context.newPage();
  await other.goto(page.url());
  await other.getByRole('button', { name: 'Collection' }).click();
  const there = other.getByRole('dialog', { name: 'Collection' });
  await there.getByRole('button', { name: 'Edit one', exact: true }).click();
  const form = other.getByRole('form', { name: 'Saved connection' });
  await dialog.getByRole('button', { name: 'Edit one', exact: true }).click();
  const stale = page.getByRole('form', { name: 'Saved connection' });
  await form.getByRole('textbox', { name: 'Name', exact: true }).fill('changed there');
  await form.getByRole('button', { name: 'Save', exact: true }).click();
  await expect(there.getByRole('button', { name: 'Edit changed there' })).toBeVisible();
  await stale.getByRole('textbox', { name: 'Name', exact: true }).fill('changed here');
  await stale.getByRole('button', { name: 'Save', exact: true }).click();
  await expect(stale.getByRole('alert')).toContainText('Another tab has changed this');
  await stale.getByRole('button', { name: 'Save as a new one' }).click();
  await expect(list.getByRole('listitem')).toHaveCount(3);
  await expect(there.getByRole('listitem')).toHaveCount(3);
  await other.close();

  await dialog.getByRole('button', { name: 'Delete one 2' }).click();
  await expect(list.getByRole('listitem')).toHaveCount(2);
  await dialog.getByRole('button', { name: 'Undo' }).click();
  await expect(list.getByRole('listitem')).toHaveCount(3);

  const download = page.waitForEvent('download');
  await dialog.getByRole('button', { name: 'Export all' }).click();
  const path = await (await download).path();
  expect(JSON.parse(await readFile(path, 'utf8'))).toMatchObject({
    format: 'echo-trio.collection',
    version: 1,
    connections: [{ name: 'changed here' }, { name: 'changed there' }, { name: 'one 2' }],
  });

  await page.reload();
  await open();
  await expect(list.getByRole('listitem')).toHaveCount(3);
  const file = dialog.getByLabel('File to import');
  const har = {
    log: {
      entries: [
        { request: { url: 'https://example.org/' } },
        {
          request: { url: `${server.url}plain` },
          _webSocketMessages: [{ type: 'send', time: 1, opcode: 1, data: 'from the HAR' }],
        },
      ],
    },
  };
  const buffer = Buffer.from(JSON.stringify(har));
  await file.setInputFiles({ name: 'x.har', mimeType: 'application/json', buffer });
  await expect(dialog.getByText('HAR: 1 connection.')).toBeVisible();
  await expect(
    dialog.getByRole('listitem').filter({ hasText: '1 × requests over HTTP' }),
  ).toBeVisible();
  await dialog.getByRole('button', { name: 'Add them' }).click();
  await expect(list.getByRole('listitem')).toHaveCount(4);
  await list.getByRole('button', { name: /^127\.0\.0\.1:\d+\/plain · 1/ }).click();
  await expect(dialog).toBeHidden();
  await expect(chat.address).toHaveValue(`${server.url}plain`);
  await page.getByRole('button', { name: 'Saved messages' }).click();
  await page.getByRole('button', { name: 'from the HAR text' }).click();
  await expect(chat.message).toHaveValue('from the HAR');
});

test('fills in variables, sends by itself, and closes with a code of one’s own', async ({
  chat,
}) => {
  const { page } = chat;
  const closes: string[] = [];
  const heard: string[] = [];
  const server = await startServer((client) => {
    client.on('close', (code, reason) => closes.push(`${String(code)} ${reason.toString()}`));
    onText(client, (text) => {
      heard.push(text);
      if (text.startsWith('login')) client.send(text === 'login s3cret' ? 'ping' : 'who?');
    });
  });
  const dialog = page.getByRole('dialog', { name: 'Collection' });
  await chat.address.fill(`${server.url}?token={{token}}`);
  await page.getByRole('button', { name: 'Collection' }).click();
  await dialog.getByRole('textbox', { name: 'Save this chat’s connection as' }).fill('login');
  await dialog.getByRole('button', { name: 'Save', exact: true }).click();
  await dialog.getByRole('button', { name: 'Edit login' }).click();
  const form = page.getByRole('form', { name: 'Saved connection' });
  await form.getByRole('checkbox', { name: /^Send what follows/ }).check();
  await form.getByRole('button', { name: 'Add a first message' }).click();
  await form.getByRole('textbox', { name: 'first message 1: text' }).fill('login {{token}}');
  await form.getByRole('checkbox', { name: /^Send a message again and again/ }).check();
  await form.getByRole('textbox', { name: 'Every … seconds' }).fill('0.2');
  await form.getByRole('textbox', { name: 'Heartbeat: text' }).fill('beat {seq}');
  await form.getByRole('button', { name: 'Add a reply rule' }).click();
  await form.getByRole('textbox', { name: 'reply rule 1: what is looked for' }).fill('ping');
  await form.getByRole('textbox', { name: 'reply rule 1 sends: text' }).fill('pong');
  await expectNoViolation(page, [ROOMY]);
  await form.getByRole('button', { name: 'Save', exact: true }).click();
  await expect(dialog.getByText('sends by itself')).toBeVisible();
  await page.keyboard.press('Escape');

  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  const refusal = page.getByRole('alert');
  await expect(refusal).toContainText('{{token}} is no variable of the chosen environment.');
  await page.getByRole('button', { name: 'Collection' }).click();
  await dialog.getByRole('button', { name: 'New environment' }).click();
  const variables = page.getByRole('form', { name: 'Environment' });
  await variables.getByRole('textbox', { name: 'variable 1: name' }).fill('token');
  await variables.getByLabel('variable 1: value').fill('s3cret');
  await variables.getByRole('checkbox', { name: 'Secret' }).check();
  await variables.getByRole('button', { name: 'Save', exact: true }).click();
  await expect(dialog.getByRole('combobox')).toHaveText(/Environment$/);
  await page.keyboard.press('Escape');

  await page.getByRole('button', { name: 'Connect', exact: true }).click();
  await expect(chat.status).toContainText('Connected since');
  // In this order, for the rule answers what the server says to the login.
  await expect
    .poll(() => heard.filter((text) => !text.startsWith('beat')))
    .toEqual(['login s3cret', 'pong']);
  await expect
    .poll(() => heard.filter((text) => text.startsWith('beat')).length)
    .toBeGreaterThan(1);
  // The log goes on; what passes the filter stays.
  await page.getByRole('button', { name: 'Filter', exact: true }).click();
  await page.getByRole('searchbox', { name: 'Find in messages' }).fill('login');
  await expect(
    chat.log.getByRole('listitem').filter({ hasText: 'Sent: login s3cret' }),
  ).toContainText('on open');
  await page.getByRole('searchbox', { name: 'Find in messages' }).press('Escape');
  // What is remembered of the address is the variable, not the secret.
  const kept = await page.evaluate(() => localStorage.getItem('echo-trio.addresses'));
  expect(kept).toContain('{{token}}');
  expect(kept).not.toContain('s3cret');

  await chat.say('{{nobody}}');
  await expect(refusal).toContainText('Send again to send it as it is.');
  await chat.message.press('Enter');
  await expect.poll(() => heard).toContain('{{nobody}}');

  await page.getByRole('button', { name: 'Connection options' }).click();
  await page.getByRole('textbox', { name: 'Close code' }).fill('4321');
  await page.getByRole('textbox', { name: 'Reason' }).fill('enough');
  await page.getByRole('button', { name: 'Close with it' }).click();
  await expect(chat.log).toContainText('You closed the connection');
  await expect.poll(() => closes).toEqual(['4321 enough']);
  await server.stop();
});

test('a browser without room says so, and keeps what one typed', async ({ chat }) => {
  const { page } = chat;
  const { origin } = new URL(page.url());
  const devtools = await page.context().newCDPSession(page);
  // Before anything is written: for a while Chromium goes by the room that it has seen.
  await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1 });
  await page.evaluate(() => {
    for (let length = 4_000_000; length >= 1; length = Math.floor(length / 2)) {
      try {
        for (let at = 0; ; at++) {
          localStorage.setItem(`full-${String(length)}-${String(at)}`, 'x'.repeat(length));
        }
      } catch {
        // No more of this length.
      }
    }
  });
  await page.getByRole('button', { name: 'Collection' }).click();
  const collection = page.getByRole('dialog', { name: 'Collection' });
  const name = collection.getByRole('textbox', { name: /^Save this chat/ });
  const save = collection.getByRole('button', { name: 'Save', exact: true });
  const saved = collection.getByRole('list', { name: 'Saved connections' }).getByRole('listitem');
  await name.fill('one too many');
  await save.click();
  await expect(collection).toContainText('The browser has no room left for this page');
  await expect(name).toHaveValue('one too many');
  await expect(saved).toHaveCount(0);

  // Once there is room, the same press saves it.
  await devtools.send('Storage.overrideQuotaForOrigin', { origin });
  await save.click();
  await expect(saved).toHaveCount(1);
});
