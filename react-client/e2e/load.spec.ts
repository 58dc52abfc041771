import type { Locator, Page } from '@playwright/test';

import { ChatPage, expect, test } from './fixtures';

/** The load view as its reader knows it. */
class LoadPage {
  readonly page: Page;
  readonly start: Locator;
  readonly cancel: Locator;
  readonly runs: Locator;

  constructor(page: Page) {
    this.page = page;
    this.start = page.getByRole('button', { name: 'Start the run' });
    this.cancel = page.getByRole('button', { name: 'Cancel the run' });
    this.runs = page.getByRole('region', { name: 'Runs', exact: true }).getByRole('listitem');
  }

  async open(): Promise<void> {
    await this.page.getByRole('tab', { name: 'Load' }).click();
    await expect(this.start).toBeVisible();
  }

  async plan(settings: Readonly<Record<string, string>>): Promise<void> {
    for (const [label, value] of Object.entries(settings)) {
      await this.page.getByRole('textbox', { name: label }).fill(value);
    }
  }

  /** The count in a row of a tally, such as "clean" of "How they ended". */
  count(title: string | RegExp, name: string): Locator {
    const row = this.page.getByRole('region', { name: title }).getByRole('term');
    return row.filter({ hasText: new RegExp(`^${name}`) }).locator('xpath=following-sibling::dd');
  }

  /** Runs it to its end. */
  async run(settings: Readonly<Record<string, string>>): Promise<void> {
    await this.plan(settings);
    const remembered = await this.runs.count();
    await this.start.click();
    // Of a short run one may not see that it goes on, on a machine that is busy.
    await expect(this.runs).toHaveCount(remembered + 1);
    await expect(this.start).toBeVisible();
    await expect(this.page.getByText('Finished: the report is complete')).toBeVisible();
  }
}

test('a run of 1,000 sockets is started, watched and cancelled from the page', async ({
  page,
  consoled,
}) => {
  test.slow();
  expect(consoled.url).not.toBe('');
  const load = new LoadPage(page);
  const chat = new ChatPage(page);
  await load.open();
  await load.plan({ Sockets: '1000', Duration: '5m' });
  await load.start.click();
  await expect(chat.figure('Open sockets')).toHaveText(/^1,000\s*of 1,000$/, {
    timeout: 120_000,
  });
  await expect(page.getByRole('figure', { name: 'Throughput' })).toBeVisible();
  await expect(load.count(/^Sent: [1-9]/, 'Echoed')).not.toHaveText('0');
  await expect(page.getByRole('button', { name: 'A run goes on' })).toBeVisible();

  await load.cancel.click();
  const verdict = page.getByRole('region', { name: 'Verdict' });
  await expect(verdict).toContainText('Interrupted', { timeout: 120_000 });
  await expect(load.runs.first()).toContainText('Interrupted');
  await expect(load.count('How they ended', 'Cleanly')).toHaveText('1,000');
  await expect(load.count(/^Sent: /, 'Lost')).toHaveText('0');
  await expect(load.start).toBeVisible();
});

test('what is wrong with a setting is said at its field', async ({ page, consoled }) => {
  expect(consoled.url).not.toBe('');
  const load = new LoadPage(page);
  await load.open();
  await load.plan({ Sockets: '5', Duration: 'soon' });
  await load.start.click();
  const duration = page.getByRole('textbox', { name: 'Duration' });
  await expect(duration).toHaveAttribute('aria-invalid', 'true');
  await expect(page.getByRole('alert')).toContainText('soon');
  await load.plan({ Duration: '1s' });
  await expect(page.getByRole('alert')).toHaveCount(0);
});

test('runs are remembered, compared and saved, and the saved page needs no server', async ({
  page,
  consoled,
  context,
}) => {
  const load = new LoadPage(page);
  await load.open();
  await load.run({ Sockets: '5', Duration: '1s', 'Rate of each socket': '20/s' });
  await load.run({ Sockets: '7', 'Fail if': 'latency.p99>60s' });
  await expect(page.getByRole('list', { name: 'Thresholds' })).toContainText('kept');

  const compare = page.getByRole('region', { name: 'Compare two runs' });
  await expect(compare.getByRole('row', { name: /^Opened/ })).toContainText('57+40 %');
  await expect(compare.getByRole('figure')).toHaveCount(3);

  await page.reload();
  await expect(page.getByRole('textbox', { name: 'Sockets' })).toHaveValue('7');
  await expect(page.getByText('Finished: the report is complete')).toBeVisible();
  const saving = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Save HTML' }).click();
  const file = test.info().outputPath('run.html');
  await (await saving).saveAs(file);

  await consoled.stop();
  await context.setOffline(true);
  const report = await context.newPage();
  const failures: Error[] = [];
  report.on('pageerror', (error) => failures.push(error));
  await report.goto(`file://${file}`);
  await expect(report.getByRole('heading', { level: 1 })).toContainText('7 sockets');
  await expect(report.getByRole('region', { name: 'Verdict' })).toContainText('latency.p99>60s');
  await expect(report.getByRole('figure', { name: 'Latency by percentile' })).toBeVisible();
  expect(failures).toEqual([]);
});

test('a link brings others the plan, and starts nothing', async ({ page, consoled }) => {
  await page.goto(`${consoled.consoleUrl}#/load?count=42&duration=3s&drive=idle`);
  await expect(page.getByRole('textbox', { name: 'Sockets' })).toHaveValue('42');
  await expect(page.getByRole('radio', { name: 'Hold idle' })).toBeChecked();
  await expect(page.getByText('None yet.')).toBeVisible();
  await expect(page).toHaveURL(/#\/load$/);
});

test('a run that breached a threshold or opened nothing is said to have, also in the history', async ({
  page,
  consoled,
}) => {
  const load = new LoadPage(page);
  const verdict = page.getByRole('region', { name: 'Verdict' });
  await load.open();
  await load.run({ Sockets: '3', Duration: '1s', 'Fail if': 'latency.p99>0.001ms' });
  // On a machine that is busy the generator was held up, which is said first and of the run in short.
  await expect(verdict.getByRole('heading')).toHaveText(
    /^(Threshold|Generator-limited\s*threshold) breached$/,
  );
  await expect(load.runs.first()).toContainText(/Threshold breached|Generator-limited/);

  await load.run({ Target: `${consoled.url}status/503`, 'Fail if': '' });
  await expect(verdict.getByRole('heading')).toContainText('Nothing opened');
  await expect(load.runs.first()).toContainText('Nothing opened');
});
