import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { WebSocket } from 'ws';

import { startEchoServer } from './echo-server';
import { ChatPage, expect, test } from './fixtures';

test('shows the server live: its figures, and the table behind a chart', async ({
  page,
  consoled,
}) => {
  const chat = new ChatPage(page);
  await chat.connectAndOpen(consoled.url);
  await chat.say('hello');
  await page.getByRole('tab', { name: 'Server' }).click();
  await expect(page.getByText('Live', { exact: true })).toBeVisible();
  await expect(page.getByRole('tabpanel', { name: 'Server' })).toContainText(consoled.url);
  await expect(chat.figure('Open connections')).toContainText(/^1/);
  await expect(page.getByRole('figure')).toHaveCount(8);

  const chart = page.getByRole('figure', { name: 'Connections' });
  await chart.getByText('Table').click();
  const table = chart.getByRole('region', { name: 'Table of Connections' });
  await expect(table.getByRole('row').nth(1)).toContainText(/\d\d:\d\d:\d\d(\.\d)?1/);
});

test('shows the tree of tasks, with the connections folded into one line', async ({
  page,
  consoled,
}) => {
  const chat = new ChatPage(page);
  await chat.connectAndOpen(consoled.url);
  const others = Array.from({ length: 5 }, () => new WebSocket(consoled.url));
  await Promise.all(others.map((one) => once(one, 'open')));
  await page.getByRole('tab', { name: 'Server' }).click();
  await page.getByRole('button', { name: 'Show the tasks' }).click();
  await expect(page.getByText(/\d+ tasks at /)).toBeVisible();
  await expect(
    page
      .getByRole('listitem')
      .filter({ hasText: /serve_session.*× 6/ })
      .last(),
  ).toBeVisible();
  for (const one of others) one.close();
});

test('connects the chat to a behaviour, one click away', async ({ page, consoled }) => {
  const chat = new ChatPage(page);
  await chat.connectAndOpen(consoled.url);
  await page.getByRole('tab', { name: 'Server' }).click();
  await page.getByRole('button', { name: 'Connect the chat to /duplicate/3' }).click();
  await expect(chat.address).toHaveValue(`${consoled.url}duplicate/3`);
  // The status may still be that of the connection before.
  await expect(chat.log).toContainText('duplicate/3');
  for (const message of ['a', 'b', 'c']) await chat.say(message);
  await expect(chat.figure('Duplicate')).toHaveText('1');
});

test('a server that was killed and started again leaves a gap in the charts, not zeros', async ({
  page,
  consoled,
}) => {
  await page.getByRole('tab', { name: 'Server' }).click();
  await expect(page.getByText('Live', { exact: true })).toBeVisible();
  const chart = page.getByRole('figure', { name: 'Connections' });
  await chart.getByText('Table').click();
  const rows = chart.getByRole('row');
  await expect(rows.nth(3)).toBeVisible();

  await consoled.stop();
  await expect(page.getByText(/Trying again in \d+ s/)).toBeVisible();
  await expect(new ChatPage(page).figure('Open connections')).toContainText('–');
  const again = await startEchoServer({ console: true, at: consoled });
  try {
    await expect(page.getByText('Live', { exact: true })).toBeVisible();
    // One at least: a server that was held up for some seconds leaves one of its own.
    await expect(rows.filter({ hasText: '––' }).first()).toBeVisible();
    // What was there before the gap is still there.
    await expect(rows.nth(5)).toBeVisible();
  } finally {
    await again.stop();
  }
});

test('shows how to start a server where no console answers', async ({ chat }) => {
  await chat.page.getByRole('tab', { name: 'Server' }).click();
  const help = chat.page.getByRole('region', { name: 'No server to watch yet' });
  await expect(help.getByText('python -m echo_trio', { exact: true })).toBeVisible();
  await expect(chat.page.getByText(/Trying again in \d+ s/)).toBeVisible();
  await expect(chat.page.getByRole('button', { name: 'Try now' })).toBeVisible();
});

for (const [what, figures] of [
  ['how much the server holds for its connections', { held_bytes: 3 * 2 ** 20 }],
  ['nothing of the kind where the server does not say', {}],
] as const) {
  test(`shows ${what}`, async ({ chat }) => {
    const { page } = chat;
    const feed = createServer((_, answer) => {
      answer.writeHead(200, { 'Content-Type': 'text/event-stream' });
      const data = JSON.stringify({ t_ms: Date.now(), rss_bytes: 50 * 2 ** 20, ...figures });
      answer.write(`event: snapshot\nid: 1\ndata: ${data}\n\n`);
    });
    feed.listen(0, '127.0.0.1');
    await once(feed, 'listening');
    const { port } = feed.address() as AddressInfo;
    await page.route('**/api/live', (route) =>
      route.continue({ url: `http://127.0.0.1:${String(port)}/` }),
    );
    await page.getByRole('tab', { name: 'Server' }).click();
    await expect(chat.figure('Memory')).toHaveText('50.0 MiB');
    const memory = page.getByRole('figure', { name: 'Memory' });
    if ('held_bytes' in figures) {
      await expect(chat.figure('Held')).toContainText('3.0 MiB');
      await expect(memory).toContainText('Held for connections3.0 MiB');
    } else {
      await expect(chat.figure('Held')).toHaveCount(0);
      await expect(memory).not.toContainText('Held');
    }
    feed.closeAllConnections();
    feed.close();
  });
}
