import { expect, test } from './fixtures';
import { FOREIGN_FILES } from './foreign-files';
import { expectOrder } from './layout-states';

test('nothing overlaps and nothing is cut off of what other programs’ files bring to the collection', async ({
  chat,
}) => {
  test.slow();
  const { page } = chat;
  await page.getByRole('button', { name: 'Collection' }).click();
  const dialog = page.getByRole('dialog', { name: 'Collection' });
  const saved = dialog.getByRole('list', { name: 'Saved connections' }).getByRole('listitem');
  const choose = (name: string, content: string) =>
    dialog.getByLabel('File to import').setInputFiles({
      name: `${name}.json`,
      mimeType: 'application/json',
      buffer: Buffer.from(content),
    });
  for (const { name, content, holds } of FOREIGN_FILES) {
    await choose(name, content);
    await expect(dialog.getByText(holds)).toBeVisible();
    await expectOrder(page, `dialog-import-${name}`);
    await dialog.getByRole('button', { name: 'Add them' }).click();
    await expect(dialog.getByText(/ added\.$/)).toBeVisible();
  }
  await expect(saved).toHaveCount(7);
  await expectOrder(page, 'dialog-imported');
  await choose('torn', '{"format": "echo-trio.collection", "version": 1, "connections": [');
  await expect(dialog.getByRole('button', { name: 'Add them' })).toBeHidden();
  await expect(dialog.getByText(/JSON/).first()).toBeVisible();
  await expectOrder(page, 'dialog-import-refused');

  // One of them in the chat, with its messages and its environment.
  await dialog.getByRole('button', { name: /^Chat \/ general/ }).click();
  await expect(dialog).toBeHidden();
  await expect(chat.address).toHaveValue(/{{host}}/);
  await expectOrder(page, 'chat-imported');
});
