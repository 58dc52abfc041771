import { startEchoServer } from './echo-server';
import { ChatPage, expect, test } from './fixtures';

test('served by the console, it offers the address of that very server', async ({ page }) => {
  const server = await startEchoServer({ console: true });
  try {
    const violations: string[] = [];
    page.on('console', (message) => {
      if (message.type() === 'error') violations.push(message.text());
    });
    await page.goto(server.consoleUrl);
    const chat = new ChatPage(page);
    await expect(chat.address).toHaveValue(server.url);
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    await expect(chat.status).toContainText('Connected since');
    await chat.say('hello');
    await expect(chat.figure('Echoed')).toHaveText('1');
    expect(violations).toEqual([]);
  } finally {
    await server.stop();
  }
});

test('a console with a token asks for it once, and then shows all views', async ({ page }) => {
  const token = 'open-sesame';
  const server = await startEchoServer({ console: true, token });
  try {
    await page.goto(`${server.consoleUrl}#/load`);
    const field = page.getByLabel('The token that the server was started with');
    await field.fill('wrong');
    const denied = page.waitForResponse((answer) => answer.status() === 401);
    await page.getByRole('button', { name: 'Unlock' }).click();
    await denied;
    await expect(field).toBeVisible();
    await field.fill(token);
    await page.getByRole('button', { name: 'Unlock' }).click();
    await expect(page.getByText('None yet.')).toBeVisible();
    await page.getByRole('tab', { name: 'Server' }).click();
    await expect(page.getByText('Live', { exact: true })).toBeVisible();
    await page.reload();
    await expect(page.getByText('Live', { exact: true })).toBeVisible();
  } finally {
    await server.stop();
  }
});
