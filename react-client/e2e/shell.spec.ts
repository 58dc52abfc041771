import { ChatPage, expect, test } from './fixtures';

test('the chat keeps its connection and its draft while one looks at another view', async ({
  chat,
  server,
}) => {
  const { page } = chat;
  await chat.connectAndOpen(server.url);
  await chat.message.fill('half a thought');
  await page.getByRole('tab', { name: 'Server' }).click();
  await expect(page).toHaveURL(/#\/server$/);
  await expect(chat.message).toBeHidden();
  await page.goBack();
  await expect(chat.message).toHaveValue('half a thought');
  await expect(chat.status).toContainText('Connected since');
  await chat.message.press('Enter');
  await expect(chat.figure('Echoed')).toHaveText('1');
});

test('a reload comes back to the view, and back goes to the one before', async ({ chat }) => {
  const { page } = chat;
  await page.getByRole('tab', { name: 'Load' }).click();
  await page.reload();
  await expect(page.getByRole('tab', { name: 'Load', selected: true })).toBeVisible();
  await page.goBack();
  await expect(page.getByRole('tab', { name: 'Chat', selected: true })).toBeVisible();
});

test('keys go to the views, are listed, and can be turned off', async ({ chat }) => {
  const { page } = chat;
  const { keyboard } = page;
  const selected = (name: string) => page.getByRole('tab', { name, selected: true });
  await keyboard.press('2');
  await expect(selected('Server')).toBeVisible();
  await keyboard.press('1');
  await keyboard.press('i');
  await expect(chat.message).toBeFocused();
  await keyboard.type('2?');
  await expect(chat.message).toHaveValue('2?');

  await chat.message.blur();
  await keyboard.press('?');
  const dialog = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
  await expect(dialog).toContainText('Go to Load');
  await dialog.getByRole('checkbox').uncheck();
  await keyboard.press('Escape');
  await expect(dialog).toBeHidden();
  await keyboard.press('3');
  await expect(selected('Chat')).toBeVisible();
});

test('keys are heard while what they ask for is still on its way', async ({ page, consoled }) => {
  let release: () => void = () => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route(/\/(load-page|shortcuts-dialog)-[^/]*\.js$/, async (route) => {
    await released;
    await route.continue();
  });
  await page.goto(consoled.consoleUrl);
  await page.reload();
  await expect(new ChatPage(page).address).toBeVisible();
  const { keyboard } = page;
  await keyboard.press('?');
  await keyboard.press('Escape');
  await keyboard.press('3');
  await expect(page.getByText('Loading…')).toBeVisible();
  await keyboard.press('i');
  release();
  await expect(page.getByRole('textbox', { name: 'Sockets' })).toBeFocused();
  await expect(page.getByRole('dialog')).toHaveCount(0);
});

test('a link brings others to the address that one talks to', async ({ chat, context, server }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await chat.connectAndOpen(`${server.url}plain`);
  await chat.page.getByRole('button', { name: 'Copy a link to this' }).click();
  // That it says so passes; what is on the clipboard stays.
  const link = await chat.expectCopied(/#\/chat\?url=.*plain/);

  const theirs = new ChatPage(await context.newPage());
  await theirs.page.goto(link);
  await expect(theirs.address).toHaveValue(`${server.url}plain`);
  await expect(theirs.status).not.toContainText('Connected');
});
