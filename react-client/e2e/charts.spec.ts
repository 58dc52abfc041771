import { expect, test } from './fixtures';

const HOUR_S = 3_600;
const BEGAN_AT_S = 1_800_000_000;

/** An hour of snapshots, in which the connections are as many as the seconds that have gone by. */
function anHour(): string {
  return Array.from({ length: HOUR_S }, (_, second) => {
    const t_ms = (BEGAN_AT_S + second) * 1_000;
    return `event: snapshot\nid: ${String(t_ms)}\ndata: ${JSON.stringify({ t_ms, open: second })}\n\n`;
  }).join('');
}

test('the figures beside a chart are those under the pointer, however long the series', async ({
  page,
  pageUrl,
}) => {
  await page.route('**/api/live', (route) =>
    route.fulfill({ contentType: 'text/event-stream', body: anHour() }),
  );
  await page.goto(`${pageUrl}#/server`);
  await page.getByText('1 h', { exact: true }).click();
  const chart = page.getByRole('figure', { name: 'Connections' });
  const open = chart.getByRole('listitem').filter({ hasText: /^Open/ });
  await expect(open).toContainText((HOUR_S - 1).toLocaleString('en'));

  // The charts find their place as those above them are drawn: the pointer goes after them.
  await expect(async () => {
    const plot = await chart.locator('.u-over').boundingBox();
    if (plot === null) throw new Error('the chart has no plot');
    await page.mouse.move(plot.x + plot.width / 2, plot.y + plot.height / 2);
    const shown = Number((await open.innerText()).replace(/\D/g, ''));
    // Half-way, but for the width of a row.
    expect(Math.abs(shown - HOUR_S / 2)).toBeLessThan(30);
  }).toPass();
});
