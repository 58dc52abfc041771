import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';
import { viteSingleFile } from 'vite-plugin-singlefile';

import { noCycles } from './no-cycles.ts';

// `loadgen --html` fills this template in: see loadgen/report/html.py.
const PAGE_INSIDE_PYTHON_PACKAGE = '../loadgen/report/page';
const PLACE = '<script type="application/json" id="loadgen-report">null</script>';

/** Fails the build when the template has not exactly one place for a report. */
function onePlaceForTheReport(): Plugin {
  return {
    name: 'one-place-for-the-report',
    enforce: 'post',
    writeBundle(_, bundle) {
      const page = bundle['report.html'];
      const html = page?.type === 'asset' ? String(page.source) : '';
      const places = html.split(PLACE).length - 1;
      if (places !== 1) this.error(`report.html has ${String(places)} places for a report`);
      const outside = /(?:src|href)="(?!data:)[^"]+"/.exec(
        html.replace(/<script[^]*?<\/script>/g, ''),
      );
      if (outside !== null) this.error(`report.html is not self-contained: ${outside[0]}`);
    },
  };
}

export default defineConfig({
  plugins: [react(), viteSingleFile(), onePlaceForTheReport()],
  build: {
    outDir: PAGE_INSIDE_PYTHON_PACKAGE,
    emptyOutDir: true,
    rolldownOptions: { ...noCycles, input: 'report.html' },
    // The favicon of the page is no part of it.
    copyPublicDir: false,
  },
});
