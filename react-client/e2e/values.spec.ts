import { startServer } from '../src/testing/web-socket-server';
import { expectNoViolation } from './axe';
import { expect, test } from './fixtures';

/** Brackets within brackets, more than any call stack is deep. */
const DEEP = '['.repeat(20_000) + ']'.repeat(20_000);
const LARGE = JSON.stringify(
  Array.from({ length: 40_000 }, (_, id) => ({ id, name: `row ${String(id)}` })),
);
const PUSHED = [
  '{"type": "tick", "id": 9007199254740993, "id": 7}',
  '{"type": "tock", "id": 8, "note": "שלום"}',
  '{"type": "tick", "id": 9,}',
  DEEP,
  LARGE,
];

test('reads JSON as it was written, by path, as a column, and binary by its decoder', async ({
  chat,
}) => {
  const { page } = chat;
  const server = await startServer((client) => {
    for (const text of PUSHED) client.send(text);
    client.send(
      Uint8Array.from([
        0x82,
        0xa4,
        ...Buffer.from('type'),
        0xa4,
        ...Buffer.from('tick'),
        0xa1,
        0x6e,
        0xcf,
        255,
        255,
        255,
        255,
        255,
        255,
        255,
        255,
      ]),
    );
  });
  await chat.connectAndOpen(server.url);
  const row = (text: string) => chat.log.getByRole('listitem').filter({ hasText: text });
  const open = async (text: string) => {
    await row(text).hover();
    await row(text).getByRole('button', { name: 'Details' }).click();
    return page.getByRole('dialog');
  };
  await expect(row('"id": 9007199254740993, "id": 7')).toBeVisible();

  const dialog = await open('9007199254740993');
  const tree = dialog.getByRole('tree', { name: 'Tree' });
  await expect(tree.getByRole('treeitem')).toHaveText([
    '▾{…} 3 names',
    '"type": "tick"',
    /^"id": 9007199254740993same name, 1 of 2as a double 9007199254740992$/,
    '"id": 7same name, 2 of 2',
  ]);
  await expectNoViolation(page);
  await page.setViewportSize({ width: 1280, height: 800 });
  await tree.focus();
  await page.keyboard.press('End');
  await expect(dialog.getByText('$.id')).toBeVisible();
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowRight');
  await dialog.getByRole('button', { name: 'Filter by it' }).click();
  await expect(page.getByText('1 of 6 messages pass')).toBeVisible();
  await page.getByRole('textbox', { name: 'Column' }).fill('$.type');
  await expect(row('"id": 7')).toContainText('$.type: "tick"');
  await page.getByRole('textbox', { name: 'Value' }).fill('');
  await expect(row('"note"')).toContainText('$.type: "tock"');

  await expect(await open('"id": 9,}')).toContainText('line 1, column 26');
  await page.keyboard.press('Escape');
  // The log's own rows are what one comes back to.
  await open('[[[[[[[[');
  await page.getByRole('button', { name: 'Unfold all' }).click();
  await page.getByRole('tree').focus();
  await page.keyboard.press('End');
  await expect(page.getByRole('treeitem', { selected: true })).toHaveAttribute(
    'aria-level',
    '20000',
  );
  await page.keyboard.press('Escape');
  await open('"row 0"');
  await expect(page.getByRole('treeitem').first()).toContainText('40,000 items');
  await page.keyboard.press('Escape');

  const bytes = await open('binary, ');
  await bytes.getByRole('button', { name: 'MessagePack' }).click();
  await expect(bytes.getByRole('tree', { name: 'MessagePack' })).toContainText(
    '"n": 18446744073709551615',
  );
  await page.keyboard.press('Escape');
  await expect(row('MessagePack, ')).toContainText('$.type: "tick"');
  await page.reload();
  await expect(row('MessagePack, ')).toContainText('$.type: "tick"');
  await server.stop();
});
