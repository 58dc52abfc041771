import { gzipSync } from 'node:zlib';

import type { Plugin, Rollup } from 'vite';

/** What the first view may weigh, gzipped: its scripts and style sheets. Fonts come after it. */
const BUDGET_KIB = 150;

/** Fails the build when the first view – the entry and all that it imports at once – is too heavy. */
export function firstViewBudget(): Plugin {
  return {
    name: 'first-view-budget',
    enforce: 'post',
    generateBundle(_, bundle) {
      const files = filesOfFirstView(bundle);
      const bytes = files.reduce((sum, name) => sum + gzippedBytes(bundle[name]), 0);
      const kib = (bytes / 1024).toFixed(1);
      const budget = `${String(BUDGET_KIB)} KiB`;
      if (bytes > BUDGET_KIB * 1024) {
        this.error(`the first view weighs ${kib} KiB gzipped, of ${budget}: ${files.join(', ')}`);
      }
      this.info(`the first view weighs ${kib} KiB gzipped, of ${budget}`);
    },
  };
}

function filesOfFirstView(bundle: Rollup.OutputBundle): string[] {
  const seen = new Set<string>();
  const visit = (name: string) => {
    const chunk = bundle[name];
    if (seen.has(name) || chunk?.type !== 'chunk') return;
    seen.add(name);
    chunk.viteMetadata?.importedCss.forEach((css) => seen.add(css));
    chunk.imports.forEach(visit);
  };
  for (const [name, output] of Object.entries(bundle)) {
    if (output.type === 'chunk' && output.isEntry) visit(name);
  }
  return [...seen];
}

function gzippedBytes(output: Rollup.OutputAsset | Rollup.OutputChunk | undefined): number {
  if (output === undefined) return 0;
  return gzipSync(output.type === 'chunk' ? output.code : output.source).length;
}
