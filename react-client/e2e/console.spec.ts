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
