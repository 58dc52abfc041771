import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import type { Locator, Page } from '@playwright/test';

import { startEchoServer } from './echo-server';
import { ChatPage, expect, test } from './fixtures';
import { expectOrder } from './layout-states';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

let folder: string;
test.beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'runs-'));
});
test.afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** What a report says of a run: its verdict apart, which a busy machine may set. */
interface Report {
  readonly verdict_reasons: readonly string[];
  readonly users: { readonly failed: number };
  readonly messages: { readonly sent: number; readonly lost: number; readonly unexpected: number };
  readonly steps: readonly { readonly name: string }[];
  readonly checks: readonly { readonly passed: number; readonly failed: number }[];
}

/** Runs one user of a scenario file with the real generator. */
async function generate(scenario: string, url: string): Promise<Report> {
  const { PYTHON } = process.env;
  const python = PYTHON === undefined || PYTHON === '' ? '.venv/bin/python' : PYTHON;
  const words = ['-m', 'loadgen', '1', url, '--scenario', scenario, '--duration', '1s'];
  const generator = spawn(python, [...words, '--stop-timeout', '60s', '--json', '-', '--quiet'], {
    cwd: REPOSITORY,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [stdout, [code]] = await Promise.all([
    text(generator.stdout),
    once(generator, 'exit') as Promise<[number | null]>,
  ]);
  // 3: this machine set the figures.
  expect([0, 3]).toContain(code);
  return JSON.parse(stdout) as Report;
}

/** Saves what the dialog of a scenario shows. */
async function saveScenario(page: Page, name: string): Promise<string> {
  const dialog = page.getByRole('dialog', { name: 'As a scenario' });
  const downloading = page.waitForEvent('download');
  await dialog.getByRole('button', { name: `Save ${name}` }).click();
  const path = join(folder, name);
  await (await downloading).saveAs(path);
  await dialog.getByRole('button', { name: 'Close' }).click();
  await expect(dialog).toBeHidden();
  return path;
}

async function dragAcross(page: Page, chart: Locator, from: number, to: number): Promise<void> {
  await chart.scrollIntoViewIfNeeded();
  const plot = await chart.locator('.u-over').boundingBox();
  if (plot === null) throw new Error('the chart has no plot');
  const y = plot.y + plot.height / 2;
  await page.mouse.move(plot.x + plot.width * from, y);
  await page.mouse.down();
  await page.mouse.move(plot.x + plot.width * (from + to) * 0.5, y);
  await page.mouse.move(plot.x + plot.width * to, y);
  await page.mouse.up();
}

test('a run is looked at in part, over time, and as a scenario that the generator runs', async ({
  page,
}) => {
  test.slow();
  const flags = ['--history', join(folder, 'runs.db')];
  const server = await startEchoServer({ console: true, flags });
  await page.goto(`${server.consoleUrl}#/load?count=2&duration=6s&name=nightly`);
  await page.getByRole('button', { name: 'Start the run' }).click();
  await expect(page.getByText('Finished: the report is complete')).toBeVisible({
    timeout: 120_000,
  });

  // All charts of the run show the range that is dragged in one; the tables too.
  const shown = page.getByRole('status').filter({ hasText: /Drag across|All charts show/ });
  const run = shown.first();
  const throughput = page.getByRole('figure', { name: 'Throughput' });
  const latency = page.getByRole('figure', { name: 'Latency', exact: true });
  await latency.getByText('Table of Latency').click();
  await expect(latency).toContainText(/\d+ rows\./);
  await expect(async () => {
    await dragAcross(page, throughput, 0.2, 0.7);
    await expect(run).toContainText('All charts show', { timeout: 1_000 });
  }).toPass();
  await expect(latency).toContainText(/\d+ rows in this range, of \d+/);
  const keys = latency.getByRole('application');
  await keys.press('Escape');
  await expect(run).toContainText('Drag across');
  await keys.press('+');
  await expect(run).toContainText('All charts show');
  await keys.press('-');
  await expect(run).toContainText('Drag across');
  await keys.press('+');
  await expect(run).toContainText('All charts show');
  await latency.locator('.u-over').dblclick();
  await expect(run).toContainText('Drag across');

  // Of a run that is kept: those of its name, each with a link. Whether it counts is for this
  // machine to say: not where the generator was held up.
  await page.getByRole('button', { name: 'Show all runs of this name' }).click();
  const trend = page.getByRole('region', { name: 'Over time' });
  await expect(trend).toContainText(/nightly 1 run.*Changes are looked for from 10 runs on/);
  await keys.press('+');
  await expectOrder(page, 'load-zoomed-over-time');
  await trend.getByRole('link', { name: '1', exact: true }).click();
  await expect(page.getByText('Finished: the report is complete')).toBeVisible();

  // The plan, and what was said in the chat, as files that run.
  await page.getByRole('button', { name: 'As a scenario' }).click();
  await expect(page.getByRole('region', { name: 'The script' })).toBeVisible();
  const planned = await saveScenario(page, 'planned.py');
  const ofPlan = await generate(`${planned}:planned`, server.url);
  expect(ofPlan).toMatchObject({ users: { failed: 0 }, messages: { lost: 0, unexpected: 0 } });
  expect(ofPlan.steps.map(({ name }) => name)).toContain('message');
  expect(ofPlan.checks).toMatchObject([{ failed: 0 }]);
  expect(ofPlan.checks[0]?.passed).toBeGreaterThan(0);
  await page.getByRole('tab', { name: 'Chat' }).click();
  const chat = new ChatPage(page);
  await chat.connectAndOpen(server.url);
  await chat.say('hello');
  await expect(chat.log).toContainText('answers ↩ #1');
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('button', { name: /^As a scenario/ }).click();
  const recorded = await saveScenario(page, 'recorded.py');
  const ofLog = await generate(`${recorded}:recorded`, server.url);
  expect(ofLog).toMatchObject({ users: { failed: 0 }, messages: { lost: 0, unexpected: 0 } });
  expect(ofLog.messages.sent).toBeGreaterThan(0);
  await server.stop();
});
