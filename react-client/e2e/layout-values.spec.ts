import { startServer } from '../src/testing/web-socket-server';
import { expect, test } from './fixtures';
import { expectOrder } from './layout-states';

const ORDER = {
  type: 'order',
  id: '7f9c24e8-3b1a-4c6e-9a53-0d2f8b6e11aa',
  total: 9007199254740993n,
  note: 'שלום, two of each',
  items: Array.from({ length: 12 }, (_, id) => ({ id, name: `article ${String(id)}`, price: 1.5 })),
};

/** As JSON, with all digits. */
const asText = (order: typeof ORDER) =>
  JSON.stringify(order, (_, value: unknown) =>
    typeof value === 'bigint' ? `n${String(value)}` : value,
  ).replace(/"n(\d+)"/, '$1');

/** {"type": "tick", "n": 18446744073709551615} in MessagePack. */
const PACKED = [0x82, 0xa4, ...Buffer.from('type'), 0xa4, ...Buffer.from('tick'), 0xa1, 0x6e];
const MOST = [0xcf, 255, 255, 255, 255, 255, 255, 255, 255];

test('nothing overlaps and nothing is cut off where messages are read as values', async ({
  chat,
}) => {
  test.slow();
  const { page } = chat;
  const server = await startServer((client) => {
    client.send(asText(ORDER));
    client.send(asText({ ...ORDER, note: 'two of each', items: ORDER.items.slice(1) }));
    client.send(`{"type": "tick", "id": 9,}`);
    client.send(Uint8Array.from([...PACKED, ...MOST]));
  });
  await chat.connectAndOpen(server.url);
  const rows = chat.log.getByRole('listitem');
  const open = async (text: string) => {
    const row = rows.filter({ hasText: text });
    await row.hover();
    await row.getByRole('button', { name: 'Details' }).click();
    return page.getByRole('dialog');
  };
  const dialog = await open('"note":"two of each"');
  await expect(dialog.getByRole('tree', { name: 'Tree' })).toBeVisible();
  await expectOrder(page, 'dialog-json');
  await dialog.getByRole('button', { name: 'With the one received before' }).click();
  await expect(dialog.getByRole('status')).toContainText(/^\d+ differences/);
  await expectOrder(page, 'dialog-compare');
  await page.keyboard.press('Escape');
  await open('"id": 9,}');
  await expectOrder(page, 'dialog-broken-json');
  await page.keyboard.press('Escape');
  await open('binary, ');
  await expectOrder(page, 'dialog-hex');
  await dialog.getByRole('button', { name: 'MessagePack' }).click();
  await expect(dialog.getByRole('tree', { name: 'MessagePack' })).toBeVisible();
  await expectOrder(page, 'dialog-msgpack');
  await dialog.getByRole('button', { name: 'Protobuf' }).click();
  await expectOrder(page, 'dialog-protobuf');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Filter', exact: true }).click();
  await page.getByRole('textbox', { name: 'Column' }).fill('$.type');
  await page.getByRole('textbox', { name: 'Value' }).fill('$.type == "order"');
  await expect(page.getByText('2 of 4 messages pass')).toBeVisible();
  await expectOrder(page, 'chat-json-column');
  await server.stop();
});
