import { expect, type Locator, type Page, test as playwright } from '@playwright/test';

import { type EchoServer, startEchoServer } from './echo-server';
import { servePage } from './page-server';

interface TestOptions {
  /**
   * Whether the page fetches a part when it is opened, not all of them once the first view is there:
   * eighty files, which take more of the CPU than the first view.
   */
  savesData: boolean;
}

interface TestFixtures {
  /** A server for this test alone, which may stop it. */
  ownServer: EchoServer;
  chat: ChatPage;
  /** A server with its console, whose page is open. */
  consoled: EchoServer;
}

interface WorkerFixtures {
  /** Where the built page is served. */
  pageUrl: string;
  /** A server without a console, for all tests of a worker: it goes on. */
  server: Pick<EchoServer, 'url'>;
}

export const test = playwright.extend<TestFixtures & TestOptions, WorkerFixtures>({
  savesData: [true, { option: true }],
  context: async ({ context, savesData }, use) => {
    if (savesData) {
      await context.addInitScript(() => {
        Object.defineProperty(navigator, 'connection', { value: { saveData: true } });
      });
    }
    await use(context);
  },
  pageUrl: [
    // Playwright reads from this pattern that the fixture needs no other.
    // oxlint-disable-next-line no-empty-pattern
    async ({}, use) => {
      const served = await servePage();
      await use(served.url);
      await served.stop();
    },
    { scope: 'worker' },
  ],
  server: [
    // oxlint-disable-next-line no-empty-pattern
    async ({}, use) => {
      // One of each worker is started as anybody would start it.
      const server = await startEchoServer({ isNew: true });
      await use(server);
      await server.stop();
    },
    { scope: 'worker' },
  ],
  // oxlint-disable-next-line no-empty-pattern
  ownServer: async ({}, use) => {
    const server = await startEchoServer();
    await use(server);
    await server.stop();
  },
  chat: async ({ page, pageUrl }, use) => {
    const failures: Error[] = [];
    page.on('pageerror', (error) => failures.push(error));
    await page.goto(pageUrl);
    const chat = new ChatPage(page);
    // The page asks a console first, and is deaf to keys until then.
    await expect(chat.address).toBeVisible();
    await use(chat);
    expect(failures).toEqual([]);
  },
  consoled: async ({ page }, use) => {
    const failures: Error[] = [];
    page.on('pageerror', (error) => failures.push(error));
    const server = await startEchoServer({ console: true });
    await page.goto(server.consoleUrl);
    await use(server);
    await server.stop();
    expect(failures).toEqual([]);
  },
});

export { expect };

/** The page as its reader knows it: by role and name. */
export class ChatPage {
  readonly page: Page;
  readonly address: Locator;
  readonly message: Locator;
  readonly log: Locator;
  readonly status: Locator;

  constructor(page: Page) {
    this.page = page;
    this.address = page.getByRole('combobox', { name: 'Address' });
    this.message = page.getByRole('textbox', { name: 'Message' });
    this.log = page.getByRole('log', { name: 'Conversation' });
    this.status = page.getByRole('form', { name: 'Connection' }).getByRole('status');
  }

  async connect(url: string): Promise<void> {
    await this.address.fill(url);
    await this.page.getByRole('button', { name: 'Connect', exact: true }).click();
  }

  async connectAndOpen(url: string): Promise<void> {
    await this.connect(url);
    await expect(this.status).toContainText('Connected since');
  }

  /** Whether a connection that was lost is tried again. */
  async reconnectByItself(does: boolean): Promise<void> {
    await this.page.getByRole('button', { name: 'Connection options' }).click();
    const options = this.page.getByRole('dialog', { name: 'Connection options' });
    await options.getByRole('checkbox', { name: /^Connect again/ }).setChecked(does);
    await this.page.keyboard.press('Escape');
    await expect(options).toBeHidden();
  }

  async say(text: string): Promise<void> {
    await this.message.fill(text);
    await this.message.press('Enter');
  }

  /** How far the log is from its end. */
  distanceFromEndPx(): Promise<number> {
    return this.log.evaluate((log) =>
      Math.round(log.scrollHeight - log.scrollTop - log.clientHeight),
    );
  }

  /** Turns the wheel over the log and waits until the list has moved away from its end. */
  async scrollBack(byPx: number): Promise<void> {
    await this.log.hover();
    await this.page.mouse.wheel(0, -byPx);
    await expect(this.page.getByRole('button', { name: /Jump to the newest/ })).toBeVisible();
    // It lets go at the turn of the wheel, which is before the list has moved.
    await expect.poll(() => this.distanceFromEndPx()).toBeGreaterThan(byPx / 2);
  }

  /** What is on the clipboard, once it is as wanted: to copy takes a moment. */
  async expectCopied(wanted: string | RegExp): Promise<string> {
    const clipboard = () => this.page.evaluate(() => navigator.clipboard.readText());
    if (typeof wanted === 'string') await expect.poll(clipboard).toBe(wanted);
    else await expect.poll(clipboard).toMatch(wanted);
    return clipboard();
  }

  /** The figure under its name, such as "Sent" or "Echoed". */
  figure(name: string): Locator {
    const named = this.page.getByRole('term').getByText(name, { exact: true });
    return this.page.getByRole('definition').and(named.locator('xpath=following-sibling::dd'));
  }
}
