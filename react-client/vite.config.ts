import react from '@vitejs/plugin-react';
import { mergeConfig } from 'vite';
import { defineConfig, type ViteUserConfig } from 'vitest/config';

import { consoleLogger, consoleOrigin, consoleProxy } from './dev-console.ts';
import { firstViewBudget } from './first-view.ts';
import { noCycles } from './no-cycles.ts';
import { precompressed } from './precompressed.ts';

// The Python package serves the page from this folder, so that an installed wheel needs no Node.
const PAGE_INSIDE_PYTHON_PACKAGE = '../echo_trio/console/page';

/** Tests of what is said to a page, and those of all else. */
const PAGE = ['src/**/*.test.tsx', 'src/**/*.dom.test.ts'];
const LOGIC = 'src/**/*.test.ts';

/** Modules of the first view that lazily loaded parts use as well: else each is a file of its own. */
const SHARED_WITH_FIRST_VIEW = new RegExp(
  `/src/(?:${[
    'lib/(?:base64|console-fetch|figures|frame-store|json-path|part-name|remembered|theme-watch)',
    'app/shortcuts',
    'components/copy-button',
    'features/connection/(?:reconnect-choice|subprotocols|url-history)',
    'features/conversation/(?:composer-draft|hex|kept-drafts|matching|payload)',
    'features/load/runs-client',
  ].join('|')})\\.tsx?$`,
);

const page: ViteUserConfig = {
  plugins: [react(), firstViewBudget(), precompressed()],
  // Relative addresses: the page works under whatever path it is served from.
  base: './',
  server: { host: '127.0.0.1', port: 5173, strictPort: true },
  // To look at the built page, which then has no console behind it.
  preview: { host: '127.0.0.1', proxy: {} },
  build: {
    outDir: PAGE_INSIDE_PYTHON_PACKAGE,
    emptyOutDir: true,
    rolldownOptions: {
      ...noCycles,
      // React in one file, and so what the first view shares with parts that come later: many small
      // files compress worse than one.
      output: {
        codeSplitting: {
          groups: [
            { name: 'react', test: /node_modules\/(react|react-dom|scheduler)\// },
            { name: 'shared', test: SHARED_WITH_FIRST_VIEW },
          ],
        },
      },
    },
    // All browsers that the page is for know modulepreload.
    modulePreload: { polyfill: false },
  },
  worker: { rolldownOptions: noCycles },
  test: {
    // To make a page takes longer than most tests: those that need none get none.
    projects: [
      {
        extends: true,
        test: { name: 'logic', include: [LOGIC], exclude: PAGE, environment: 'node' },
      },
      {
        extends: true,
        test: {
          name: 'page',
          include: PAGE,
          environment: 'jsdom',
          setupFiles: ['src/testing/setup.ts'],
        },
      },
    ],
    // One module graph for all files of a worker: to read React and the page's parts anew for each
    // took three quarters of the time. So what a test changes of a module's state, it puts back.
    isolate: false,
    restoreMocks: true,
    // Room for a machine that does other work too; a passing test waits for none of it.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 60_000,
  },
};

function servedBeside(console: string): ViteUserConfig {
  return { server: { proxy: consoleProxy(console) }, customLogger: consoleLogger(console) };
}

export default defineConfig(({ command, mode, isPreview }) => {
  // `npm start` alone passes anything on to a console.
  const isStart = command === 'serve' && mode !== 'test' && isPreview !== true;
  return isStart ? mergeConfig(page, servedBeside(consoleOrigin(process.env))) : page;
});
