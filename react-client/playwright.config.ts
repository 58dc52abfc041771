import { defineConfig } from '@playwright/test';

import { findChromium } from './e2e/chromium';

export default defineConfig({
  testDir: 'e2e',
  globalSetup: './e2e/launcher.ts',
  // Each worker has a browser, a page server and Python servers of its own: two fill two cores.
  workers: 2,
  fullyParallel: true,
  // Room for a machine that does other work too; a passing test waits for none of it.
  timeout: 180_000,
  expect: { timeout: 50_000 },
  forbidOnly: Boolean(process.env.CI),
  reporter: [['list'], ['html', { open: 'never' }]],
  use: {
    browserName: 'chromium',
    viewport: { width: 1280, height: 800 },
    // What was done and what went over the network; to film the page takes a quarter of the time.
    trace: { mode: 'retain-on-failure', screenshots: false, snapshots: false },
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: findChromium(process.env),
      // Not the browser under test, but its calls home, which a closed network answers slowly.
      args: [
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-gpu',
        '--disable-quic',
        '--disable-sync',
        '--no-first-run',
      ],
    },
  },
  projects: [
    { name: 'behaviour', testMatch: '**/*.spec.ts' },
    // Not tests: they make the pictures of the README (`npm run screenshots`).
    { name: 'screenshots', testMatch: '**/*.pictures.ts' },
    // Nor these: they measure the page (`benchmarks/page.py`).
    { name: 'bench', testMatch: '**/*.bench.ts' },
  ],
});
