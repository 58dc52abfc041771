import { expect, test } from './fixtures';
import { withoutFrameEvents } from './frame-events';

const RATE_PER_S = 5_000;
/** Six seconds; how the log drops what is above its bound is in log.spec.ts, minutes in page.bench.ts. */
const REPLIES = 30_000;
const BURST = 1_000;
/** Twice what it is on a quiet machine is not far; ten times would be a leak. */
const HEAP_BOUND_BYTES = 500_000_000;

for (const isHidden of [false, true]) {
  const replies = isHidden ? REPLIES / 3 : REPLIES;
  test(`counts ${replies.toLocaleString('en')} messages at 5,000 a second exactly, and stays responsive${isHidden ? ', in a tab that gets no frames' : ''}`, async ({
    page,
    pageUrl,
    server,
  }) => {
    // A browser gives a hidden tab no frames at all; headless, no tab is ever hidden.
    if (isHidden) await page.addInitScript('window.requestAnimationFrame = () => 0');
    await page.goto(pageUrl);
    withoutFrameEvents(page);
    await page.evaluate(() => {
      const tasks: number[] = [];
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) tasks.push(duration);
      }).observe({ type: 'longtask' });
      Object.assign(window, { longTasksMs: tasks });
    });
    await page
      .getByRole('combobox', { name: 'Address' })
      .fill(`${server.url}burst/${String(BURST)}`);
    await page.getByRole('button', { name: 'Connect', exact: true }).click();
    await expect(page.getByText('Connected since')).toBeVisible();

    await page.getByRole('textbox', { name: 'Message' }).fill('flood {seq}');
    await page.getByRole('button', { name: 'Repeat this message' }).click();
    await page.getByRole('textbox', { name: 'How often' }).fill(String(RATE_PER_S / BURST));
    const messages = replies / BURST;
    await page.getByRole('textbox', { name: 'Times' }).fill(String(messages));

    const figure = (name: string) =>
      page
        .getByRole('definition')
        .and(
          page
            .getByRole('term')
            .getByText(name, { exact: true })
            .locator('xpath=following-sibling::dd'),
        );
    const duplicate = figure('Duplicate');
    await duplicate.evaluate((shown) => {
      const drawn = new Set<string>();
      new MutationObserver(() => drawn.add(shown.textContent)).observe(shown, {
        characterData: true,
        childList: true,
        subtree: true,
      });
      Object.assign(window, { duplicatesDrawn: drawn });
    });
    const timesDrawn = () =>
      page.evaluate(
        () => (window as unknown as { duplicatesDrawn: Set<string> }).duplicatesDrawn.size,
      );
    await page.getByRole('button', { name: 'Start' }).click();

    await expect(duplicate).toHaveText((replies - messages).toLocaleString('en'), {
      timeout: 150_000,
    });
    await expect(figure('Sent')).toHaveText(String(messages));
    await expect(figure('Echoed')).toHaveText(String(messages));
    for (const name of ['Waiting', 'Unexpected', 'Reordered']) {
      await expect(figure(name)).toHaveText('0');
    }

    const tasksMs = await page.evaluate(
      () => (window as unknown as { longTasksMs: number[] }).longTasksMs,
    );
    const devtools = await page.context().newCDPSession(page);
    const { usedSize } = (await devtools.send('Runtime.getHeapUsage')) as { usedSize: number };
    const longest = Math.max(0, ...tasksMs);
    const total = tasksMs.reduce((sum, task) => sum + task, 0);
    console.log(
      `flood${isHidden ? ' without frames' : ''}: ${String(tasksMs.length)} long tasks (over 50 ms), ` +
        `the longest ${longest.toFixed(0)} ms, ${total.toFixed(0)} ms in all; ` +
        `heap ${(usedSize / 1e6).toFixed(0)} MB`,
    );
    // How long a task took is for this machine to say, which may be busy or stand still. That the
    // page drew amid the flood, not after it, is the page's own doing.
    expect(await timesDrawn()).toBeGreaterThan(isHidden ? 1 : 10);
    expect(usedSize).toBeLessThan(HEAP_BOUND_BYTES);
  });
}
