import { expect, test } from './fixtures';

const COMMAND = 'python -m echo_trio';

test('shows the command that starts a server before the first connection', async ({ chat }) => {
  await expect(chat.page.getByText(COMMAND, { exact: true })).toBeVisible();
  await expect(chat.page.getByText('make serve', { exact: true })).toBeVisible();
  await expect(chat.address).toHaveValue('ws://127.0.0.1:8765/');
});

test('shows the command that starts a server where none answers', async ({
  chat,
  ownServer: server,
}) => {
  await server.stop();
  await chat.connect(server.url);
  const notice = chat.log.getByRole('region', { name: 'No connection' });
  const { port } = new URL(server.url);
  await expect(notice.getByText(`${COMMAND} --port ${port}`, { exact: true })).toBeVisible();
  await expect(notice).toContainText('Browsers hide the cause');
  await expect(chat.status).toHaveText('No connection');
});

test('says the same of a path that the server does not know', async ({ chat, server }) => {
  await chat.connect(`${server.url}nowhere`);
  await expect(chat.log.getByRole('region', { name: 'No connection' })).toContainText(
    'unknown path',
  );
});

test('copies the command', async ({ chat, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const copy = chat.page.getByRole('button', { name: `Copy ${COMMAND}` });
  await copy.click();
  await expect(copy).toHaveText('Copied');
  await chat.expectCopied(COMMAND);
});

test('says beside the address what is wrong with it', async ({ chat }) => {
  await chat.connect('http://127.0.0.1:8765/');
  await expect(chat.page.getByRole('alert')).toHaveText(
    'http:// is for web pages – did you mean ws://127.0.0.1:8765/?',
  );
  await expect(chat.address).toHaveValue('http://127.0.0.1:8765/');
});
