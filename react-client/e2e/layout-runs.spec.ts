import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { type EchoServer, startEchoServer } from './echo-server';
import { expect, test } from './fixtures';
import { findPython, REPOSITORY } from './launcher';
import { expectOrder, ROOMY } from './layout-states';

/** Adds thirty nights to a history that has one run: their figures change twice, and they end so, now so. */
const NIGHTS = `
import datetime, json, sqlite3, sys
database = sqlite3.connect(sys.argv[1])
plan, text = database.execute("SELECT plan, report FROM runs").fetchone()
first = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=31)
for night in range(30):
    report = json.loads(text)
    started = (first + datetime.timedelta(days=night)).isoformat()
    slower = 1.0 if night < 10 else 1.6 if night < 22 else 1.2
    report["started_at"] = started
    report["ended_at"] = started
    report["verdict"] = "valid"
    report["verdict_reasons"] = []
    report["messages"]["sent_per_s"] = 1000 / slower + night % 3
    for latency in ("intended", "service"):
        for name in ("p50", "p99"):
            report["latency"][latency][name] = (8 if name == "p99" else 2) * slower + night % 5 / 50
    if night % 7 == 6:
        report["thresholds"] = [{"expr": "latency.p99>10ms", "value": 12.8, "breached": True}]
    if night == 17:
        report["interrupted"] = True
    if night == 23:
        report["verdict"] = "generator-limited"
    if night == 24:
        report["verdict"], report["verdict_reasons"] = "failed", ["1 message lost"]
    if night == 25:
        report["connections"]["opened"] = 0
        report["verdict"] = "failed"
    if night == 26:
        report["changes"] = [{"t_s": 0.5, "load_s": 0.2, "what": "rate", "unit": "rate_per_conn",
                              "old": 1.0, "new": 2.0, "paused_s": None}]
    row = (started, report["verdict"], "nightly", plan, json.dumps(report))
    database.execute(
        "INSERT INTO runs (started_at, verdict, name, plan, report) VALUES (?, ?, ?, ?, ?)", row
    )
database.commit()
`;

const SCENARIO = `
from loadgen.scenario import User, check, scenario

@scenario
async def talker(user: User) -> None:
    async with user.connect("/rpc") as ws, user.connect("/ticker/50ms") as ticks:
        ticks.stream("ticks", order="seq", sent_at="t")
        async for due in user.pace("20/s"):
            call = {"jsonrpc": "2.0", "method": "echo", "params": [user.number]}
            answer = await ws.request(call, name="echo", reply="id", due=due)
            check("everybody but the third is answered", answer["result"] != [2])
            user.count("calls")
`;

/** Ends with its exit code. */
async function python(words: readonly string[]): Promise<number | null> {
  const stdio = ['ignore', 'ignore', 'inherit'] as const;
  const program = spawn(findPython(process.env), [...words], {
    cwd: REPOSITORY,
    stdio: [...stdio],
  });
  const [code] = (await once(program, 'exit')) as [number | null];
  return code;
}

test.describe.configure({ mode: 'default' });
let folder: string;
let server: EchoServer;
test.beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'history-'));
  await writeFile(join(folder, 'talker.py'), SCENARIO);
  const history = join(folder, 'runs.db');
  const flags = ['--history', history, '--scenario-dir', folder];
  const first = await startEchoServer();
  const run = ['-m', 'loadgen', '5', first.url, '--duration', '2s', '--name', 'nightly', '--quiet'];
  // 3: this machine set the figures, which are replaced.
  expect([0, 3]).toContain(await python([...run, '--history', history]));
  await first.stop();
  expect(await python(['-c', NIGHTS, history])).toBe(0);
  server = await startEchoServer({ console: true, flags });
});
test.afterAll(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

test('a list of many runs is read without scrolling within what scrolls, in low windows too', async ({
  page,
}) => {
  test.slow();
  await page.goto(`${server.consoleUrl}#/load`);
  const list = page.getByRole('region', { name: 'Runs', exact: true });
  const runs = list.getByRole('listitem');
  await expect(runs).toHaveCount(5);
  // They are of other days, which is told.
  await expect(runs.nth(1)).toContainText(/[A-Z][a-z]{2} \d+, (\d{4}, )?\d\d:\d\d$/);
  await expectOrder(page, 'load-many-runs');
  await list.getByRole('button', { name: 'Show 15 more' }).click();
  await expect(runs).toHaveCount(20);
  await expect(list.getByText('Threshold breached').first()).toHaveAttribute('data-tone', 'bad');
  await expect(list.getByText('Nothing opened')).toHaveAttribute('data-tone', 'bad');
  const side = page.locator('div', { has: list }).last();
  for (const window of [
    { width: 1440, height: 700 },
    { width: 844, height: 390 },
    { width: 390, height: 420 },
  ]) {
    await page.setViewportSize(window);
    const scrollers = await side.evaluate((region: Element) =>
      [region, ...region.querySelectorAll('*:not(textarea)')]
        .filter((element) => element.scrollHeight > element.clientHeight + 1)
        .filter((element) => /auto|scroll/.test(getComputedStyle(element).overflowY))
        .map((element) => element.getAttribute('class')),
    );
    expect(scrollers, `${String(window.width)}x${String(window.height)}`).toEqual([]);
    await runs.last().scrollIntoViewIfNeeded();
    await expect(runs.last()).toBeInViewport({ ratio: 1 });
  }
  await page.setViewportSize(ROOMY);
  await expectOrder(page, 'load-all-runs');
});

test('many runs over time are told as they ended, with what has changed', async ({ page }) => {
  test.slow();
  await page.goto(`${server.consoleUrl}#/load?run=31`);
  await page.getByRole('button', { name: 'Show all runs of this name' }).click();
  const trend = page.getByRole('region', { name: 'Over time' });
  await expect(trend).toContainText(/nightly \d+ runs/);
  await expect(trend.getByText(/^Worse since run 12 of /).first()).toBeVisible();
  const table = trend.getByRole('region', { name: /^Runs of nightly/ });
  await expect(table.getByText('Threshold breached')).toHaveCount(4);
  await expect(table.getByText('Nothing opened')).toHaveAttribute('data-tone', 'bad');
  await expect(table.getByText('· changed by hand')).toHaveCount(1);
  await expectOrder(page, 'load-trends');
  await trend.getByText(/more figures?, in which nothing has changed/).click();
  await expectOrder(page, 'load-trends-all');
});

test('results of a scenario fit, and the page that is saved of them does', async ({
  page,
  context,
}) => {
  test.slow();
  await page.goto(`${server.consoleUrl}#/load?count=5&scenario=talker.py&duration=2s`);
  await page.getByRole('button', { name: 'Start the run' }).click();
  await expect(page.getByText('Finished: the report is complete')).toBeVisible();
  const latency = page.getByRole('region', { name: 'Latency in figures' });
  await expect(latency.getByRole('row', { name: /^Script lag/ })).toBeVisible();
  for (const width of [1440, 1920]) {
    await page.setViewportSize({ width, height: 900 });
    const beyond = () => latency.evaluate((region) => region.scrollWidth - region.clientWidth);
    // No column out of sight, nor at the frame.
    await expect.poll(beyond).toBe(0);
  }
  // However far a run is read, the end of what stands beside it stays in view.
  await page.setViewportSize({ width: 1440, height: 700 });
  const more = page.getByRole('button', { name: /^Show \d+ more$/ });
  await expect(more).not.toBeInViewport();
  await page.getByRole('region', { name: 'Checks' }).scrollIntoViewIfNeeded();
  await expect(more).toBeInViewport({ ratio: 1 });
  await page.setViewportSize(ROOMY);
  await expectOrder(page, 'load-scenario');
  const saving = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Save HTML' }).click();
  const file = join(folder, 'run.html');
  await (await saving).saveAs(file);
  const report = await context.newPage();
  await report.goto(`file://${file}`);
  await expect(report.getByRole('heading', { level: 1 })).toBeVisible();
  await expect(report.getByRole('figure', { name: 'Latency by percentile' })).toBeVisible();
  await expectOrder(report, 'report');
});
