import { fileURLToPath } from 'node:url';

import { type ChatPage, expect, test } from './fixtures';

const FOLDER = fileURLToPath(new URL('../../docs/images/', import.meta.url));

const DESKTOP = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };

async function haveConversation(chat: ChatPage, url: string): Promise<void> {
  await chat.connectAndOpen(url);
  const messages = ['hello', 'is anybody there?', '{"type": "ping", "id": 7}', 'ça va ?', '1 2'];
  for (const [index, message] of messages.entries()) {
    await chat.say(message);
    await expect(chat.figure('Echoed')).toHaveText(String(index + 1));
  }
}

for (const colorScheme of ['light', 'dark'] as const) {
  test.describe(colorScheme, () => {
    test.use({ viewport: DESKTOP, colorScheme });

    test(`page-${colorScheme}.png: a chat`, async ({ chat, server }) => {
      await haveConversation(chat, server.url);
      await chat.message.fill('what do you make of this');
      await chat.page.screenshot({ path: `${FOLDER}page-${colorScheme}.png` });
    });
  });
}

test.describe('phone', () => {
  test.use({ viewport: PHONE, colorScheme: 'light', deviceScaleFactor: 2 });

  test('page-phone.png: a chat that the server ended', async ({ chat, server }) => {
    await haveConversation(chat, server.url);
    await server.stop();
    await expect(chat.log).toContainText('The server closed the connection');
    await chat.page.screenshot({ path: `${FOLDER}page-phone.png` });
  });
});
