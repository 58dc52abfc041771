import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { Page } from '@playwright/test';

import { expectNoViolation, ROOMY as WIDE } from './axe';
import { type EchoServer, startEchoServer } from './echo-server';
import { ChatPage, expect, test } from './fixtures';
import { findPython, REPOSITORY } from './launcher';
import { expectOrder } from './layout-states';

/** An authority, one below it, a server's certificate and a client's. */
const CERTIFICATES = `
import sys, trustme
folder = sys.argv[1]
root = trustme.CA()
authority = root.create_child_ca()
server = authority.issue_cert("127.0.0.1", "localhost", "chat.example")
client = authority.issue_cert("alice@example.org")
root.cert_pem.write_to_path(folder + "/authorities.pem")
server.private_key_and_cert_chain_pem.write_to_path(folder + "/server.pem")
client.private_key_and_cert_chain_pem.write_to_path(folder + "/alice.pem")
`;

test.describe.configure({ mode: 'default' });
let folder: string;
let secure: EchoServer;
test.beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tls-'));
  await promisify(execFile)(findPython(process.env), ['-c', CERTIFICATES, folder], {
    cwd: REPOSITORY,
  });
  const pem = join(folder, 'server.pem');
  secure = await startEchoServer({ flags: ['--tls-cert', pem, '--tls-key', pem] });
});
test.afterAll(async () => {
  await secure.stop();
  await rm(folder, { recursive: true });
});

/** A page whose console may dial the server with TLS, and does. */
async function dialling(page: Page, flags: readonly string[]) {
  const target = new URL(secure.url).host;
  const server = await startEchoServer({
    console: true,
    flags: ['--run-target', target, ...flags],
  });
  await page.goto(server.consoleUrl);
  const chat = new ChatPage(page);
  await chat.reconnectByItself(false);
  await page.getByRole('button', { name: 'Connection options' }).click();
  const options = page.getByRole('dialog', { name: 'Connection options' });
  await options.getByRole('checkbox', { name: /^Through the server/ }).check();
  return { server, chat, options };
}

test('the certificates of a server that is trusted are shown, and the name of one’s own', async ({
  page,
}) => {
  test.slow();
  const { server, chat, options } = await dialling(page, [
    ...['--dial-cacert', join(folder, 'authorities.pem')],
    ...['--dial-cert', join(folder, 'alice.pem')],
  ]);
  await options.getByRole('combobox', { name: 'Client certificate' }).selectOption('alice');
  await expectOrder(page, 'panel-tls-options');
  await page.keyboard.press('Escape');
  await chat.connectAndOpen(`${secure.url}info`);
  await chat.say('hello');
  await expect(chat.figure('Echoed')).toHaveText('1');
  await expect(page.getByText(/^Through the server · .* · TLSv1\.\d · 101 /)).toBeVisible();
  await expectOrder(page, 'chat-tls');
  await page.getByRole('button', { name: 'Handshake and frames' }).click();
  const dialog = page.getByRole('dialog', { name: 'Through the server' });
  const steps = dialog.getByRole('region', { name: 'Steps' });
  await expect(steps.getByRole('row', { name: /^TLS/ })).toContainText(
    /TLSv1\.\d · TLS_\w+ · certificate trusted/,
  );
  const certificates = dialog.getByRole('region', { name: 'Certificates' });
  await expect(certificates).toContainText('127.0.0.1, localhost, chat.example');
  await expect(certificates.getByRole('term').filter({ hasText: 'Issuer' })).toHaveCount(2);
  await expectNoViolation(page, [WIDE]);
  await expectOrder(page, 'dialog-tls');
  await server.stop();
});

test('a server that is not trusted is told with its certificate, before anything is sent to it', async ({
  page,
}) => {
  test.slow();
  const { server, chat } = await dialling(page, []);
  await page.keyboard.press('Escape');
  await chat.connect(secure.url);
  await expect(chat.log).toContainText('unable to get local issuer certificate');
  await expectOrder(page, 'chat-tls-untrusted');
  await page.getByRole('button', { name: 'Handshake and frames' }).click();
  const dialog = page.getByRole('dialog', { name: 'Through the server' });
  await expect(dialog.getByRole('region', { name: 'Certificates' })).toContainText('chat.example');
  await expect(dialog.getByRole('region', { name: 'Request' })).toHaveCount(0);
  await expectOrder(page, 'dialog-tls-untrusted');
  await server.stop();
});
