import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

import { WebSocket, WebSocketServer } from 'ws';

import { startEchoServer } from './echo-server';
import { expect, test } from './fixtures';
import { layoutFaults, WINDOWS } from './layout-audit';

/** Where pictures of the panel go; nowhere unless asked for. */
const { SHOTS } = process.env;

test('puts faults before a server while one watches, and takes them off again', async ({
  page,
}) => {
  const upstream = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  upstream.on('connection', (client) => {
    client.on('message', (data, isBinary) => {
      client.send(data, { binary: isBinary });
    });
  });
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo;
  const upstreamUrl = `ws://127.0.0.1:${String(port)}`;
  const proxy = await startEchoServer({ console: true, upstream: upstreamUrl });
  const client = new WebSocket(proxy.url);
  await once(client, 'open');
  const say = async (text: string) => {
    const answer = once(client, 'message');
    client.send(text);
    return String((await answer)[0]);
  };

  await page.goto(`${proxy.consoleUrl}#/server`);
  const panel = page.getByRole('region', { name: 'Faults', exact: true });
  const apply = panel.getByRole('button', { name: 'Apply' });
  /** What it says until one changes something. */
  const applied = panel.getByRole('status').filter({ hasText: /^Applied to/ });
  const add = async (name: string) => {
    await panel.getByRole('combobox', { name: 'Add a fault' }).selectOption(name);
    await panel.getByRole('button', { name: 'Add', exact: true }).click();
  };
  await expect(panel).toContainText(upstreamUrl);
  await expect(panel).toContainText('None: messages pass as they come.');
  expect(await say('hello')).toBe('hello');

  // What cannot be is told at its field, by the page or by the server; nothing changes by it.
  await add('corrupt');
  const every = panel.getByRole('textbox', { name: 'Every n-th' });
  await every.fill('0');
  await apply.click();
  await expect(panel.getByRole('alert')).toContainText('A whole number of messages from 1');
  await expect(every).toBeFocused();
  await every.fill('1');
  await add('close');
  const code = panel.getByRole('textbox', { name: /^Code/ });
  await code.fill('99');
  await apply.click();
  await expect(panel.getByRole('alert')).toContainText('~close takes 1000 to 1003');
  await expect(code).toHaveAttribute('aria-invalid', 'true');
  expect(await say('hello')).toBe('hello');
  await panel.getByRole('button', { name: 'Remove ~close' }).click();

  await apply.click();
  await expect(applied).toBeVisible();
  expect(await say('hello')).toBe('(ello');
  await expect(panel.getByRole('listitem')).toContainText('1 came to it, 1 changed');

  await add('delay');
  await panel.getByRole('textbox', { name: 'Duration' }).fill('1ms');
  const row = panel.getByRole('listitem').filter({ hasText: '~delay' });
  await row.getByRole('combobox', { name: 'Messages' }).selectOption('to the server');
  const up = panel.getByRole('button', { name: 'Move ~up-delay before the one above it' });
  await up.press('Enter');
  await expect(up).toBeFocused();
  await apply.click();
  await expect(panel.getByText('~up-delay/1ms/~corrupt/1', { exact: true })).toBeVisible();
  await expect(applied).toBeVisible();
  expect(await say('hello')).toBe('(ello');
  await expect(panel.getByRole('listitem').first()).toContainText('1 came to it, 1 changed');

  for (const window of WINDOWS) {
    await page.setViewportSize(window);
    for (const colorScheme of SHOTS === undefined ? [] : (['light', 'dark'] as const)) {
      await page.emulateMedia({ colorScheme });
      const size = `${String(window.width)}x${String(window.height)}`;
      await panel.screenshot({ path: `${SHOTS ?? ''}/faults-${size}-${colorScheme}.png` });
    }
    await expect.poll(() => layoutFaults(page), { message: String(window.width) }).toEqual([]);
  }

  const undo = panel.getByRole('button', { name: 'Undo the last change' });
  await undo.click();
  await expect(panel.getByText('~corrupt/1', { exact: true })).toBeVisible();
  await undo.click();
  await expect(panel).toContainText('None: messages pass as they come.');
  expect(await say('hello')).toBe('hello');

  client.terminate();
  await proxy.stop();
  upstream.close();
});
