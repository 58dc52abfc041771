import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import type { Locator, Page } from '@playwright/test';

import { type EchoServer, startEchoServer } from './echo-server';
import { ChatPage, expect, test } from './fixtures';
import { expectOrder, ROOMY } from './layout-states';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

// One page, one server and one history for all tests here.
test.describe.configure({ mode: 'default' });
let folder: string;
let server: EchoServer;
let page: Page;
test.beforeAll(async ({ browser }) => {
  folder = await mkdtemp(join(tmpdir(), 'runs-'));
  server = await startEchoServer({ console: true, flags: ['--history', join(folder, 'runs.db')] });
  page = await browser.newPage({ viewport: ROOMY, acceptDownloads: true });
  await page.addInitScript(rememberDrawnTexts);
});
test.afterAll(async () => {
  await page.close();
  await server.stop();
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

/** Runs in the page: what is drawn on a canvas is no text of the page, but was said to it. */
function rememberDrawnTexts(): void {
  const drawn = new WeakMap<HTMLCanvasElement, Set<string>>();
  const pen = CanvasRenderingContext2D.prototype;
  // It is called with its own context.
  // oxlint-disable-next-line @typescript-eslint/unbound-method
  pen.fillText = new Proxy(pen.fillText, {
    apply: (fillText, context: CanvasRenderingContext2D, words: [string, number, number]) => {
      const texts = drawn.get(context.canvas) ?? new Set();
      drawn.set(context.canvas, texts.add(words[0]));
      Reflect.apply(fillText, context, words);
    },
  });
  Object.assign(globalThis, {
    drawnOn: (canvas: HTMLCanvasElement) => [...(drawn.get(canvas) ?? [])],
  });
}

/** All texts that were ever drawn on a chart. */
async function textsOn(chart: Locator): Promise<string[]> {
  const found = await chart
    .locator('canvas')
    .evaluateAll((canvases) =>
      (canvases as HTMLCanvasElement[]).flatMap((canvas) =>
        (globalThis as unknown as { drawnOn: (canvas: HTMLCanvasElement) => string[] }).drawnOn(
          canvas,
        ),
      ),
    );
  return found;
}

test('a run is looked at in part, over time, and as a scenario that the generator runs', async () => {
  test.slow();
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
  await expectOrder(page, 'dialog-scenario');
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
});

test('a load is paused, goes on and is lowered, and its charts, its list and its report say so', async () => {
  test.slow();
  const link = '#/load?count=2&drive=total&rate=20/s&duration=1h&name=steered';
  await page.goto(`${server.consoleUrl}${link}`);
  await page.getByRole('button', { name: 'Start the run' }).click();
  const steering = page.getByRole('region', { name: 'The load while it goes' });
  const state = steering.getByRole('status');
  const throughput = page.getByRole('figure', { name: 'Throughput' });
  const sent = page.getByRole('term').filter({ hasText: 'Messages sent' }).locator('+ dd');
  const sentCount = async () => Number((await sent.innerText()).replace(/\D/g, ''));
  // There from the beginning of its load; until then the charts may be those of the run before.
  await expect(steering.getByRole('button', { name: 'Pause' })).toBeVisible();
  await throughput.getByText('Table of Throughput').click();
  const table = throughput.getByRole('table');
  /** How many seconds the chart has. */
  const seconds = async () =>
    Number(/[\d,]+(?= rows)/.exec(await throughput.innerText())?.[0].replace(',', ''));
  await expect.poll(sentCount).toBeGreaterThan(20);

  // In a pause seconds go by in which nothing is sent, and no count grows.
  await steering.getByRole('button', { name: 'Pause' }).click();
  await expect(state).toContainText('Paused: nothing falls due.');
  await expect(async () => {
    const [count, before] = [await sentCount(), await seconds()];
    await expect.poll(seconds).toBeGreaterThan(before + 1);
    expect(await sentCount()).toBe(count);
  }).toPass();
  await expect(table.getByRole('row').nth(1).getByRole('cell').first()).toHaveText(/^0\s/);
  const paused = await sentCount();
  await expect.poll(() => textsOn(throughput)).toContain('paused');
  await expectOrder(page, 'load-paused');

  await steering.getByRole('button', { name: 'Resume' }).click();
  await expect(steering.getByRole('button', { name: 'Pause' })).toBeVisible();
  await expect(state).not.toContainText('Paused');
  await expect.poll(sentCount).toBeGreaterThan(paused + 20);
  await steering.getByRole('button', { name: 'Lower by 10 % of the plan' }).click();
  await expect(state).toHaveText('18/s, planned 20/s.');
  const marked = page.getByRole('list', { name: 'Changed by hand' }).getByRole('listitem');
  await expect(marked).toHaveText([/: paused$/, /: went on after/, /: lowered to 18\/s$/]);

  await page.getByRole('button', { name: 'Cancel the run' }).click();
  await expect(page.getByRole('region', { name: 'Verdict' })).toContainText('Interrupted');
  await expect(steering).toBeHidden();
  await expect(marked).toHaveCount(3);
  const ask = async (path: string): Promise<unknown> =>
    (await page.request.get(new URL(path, server.consoleUrl).href)).json();
  const { runs } = (await ask('api/runs')) as { runs: { id: string }[] };
  const entry = page.getByRole('region', { name: 'Runs', exact: true }).getByRole('listitem');
  await expect(entry.first()).toContainText(/Interrupted\W+changed by hand/);
  // In a high-contrast theme all words of the entry that is shown have the theme's colour.
  await page.emulateMedia({ forcedColors: 'active' });
  const colourOf = (what: Locator) => what.evaluate((element) => getComputedStyle(element).color);
  const word = entry.first().getByText('Interrupted', { exact: true });
  await expect.poll(() => colourOf(word)).toBe(await colourOf(entry.first().getByRole('button')));
  await page.emulateMedia({ forcedColors: 'none' });
  expect(await ask(`api/runs/${runs[0]?.id ?? ''}`)).toMatchObject({
    changes: [
      { what: 'pause', unit: 'rate', old: 20, new: 0 },
      { what: 'resume', unit: 'rate', old: 0, new: 20 },
      { what: 'rate', unit: 'rate', old: 20, new: 18 },
    ],
  });
});
