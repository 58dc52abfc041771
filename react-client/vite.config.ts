import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';

import { firstViewBudget } from './first-view.ts';
import { precompressed } from './precompressed.ts';

// The Python package serves the page from this folder, so that an installed wheel needs no Node.
const PAGE_INSIDE_PYTHON_PACKAGE = '../echo_trio/console/page';

/** The console of a running server: what `npm start` shows the figures of. */
const CONSOLE = process.env.ECHO_TRIO_CONSOLE ?? 'http://127.0.0.1:8766';
// The console serves its own host alone, and takes changes from its own origin alone.
const toConsole = {
  target: CONSOLE,
  changeOrigin: true,
  headers: { origin: new URL(CONSOLE).origin },
};
const proxy = { '/api': toConsole, '/metrics': toConsole, '/healthz': toConsole };

export default defineConfig({
  plugins: [react(), firstViewBudget(), precompressed()],
  // Relative addresses: the page works under whatever path it is served from.
  base: './',
  server: { host: '127.0.0.1', port: 5173, strictPort: true, proxy },
  // The tests' page server has no console behind it.
  preview: { host: '127.0.0.1', proxy: {} },
  build: { outDir: PAGE_INSIDE_PYTHON_PACKAGE, emptyOutDir: true },
  test: {
    environment: 'jsdom',
    include: ['src/**/*.test.{ts,tsx}'],
    setupFiles: ['src/testing/setup.ts'],
    restoreMocks: true,
    // Room for a machine that does other work too; a passing test waits for none of it.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 60_000,
  },
});
