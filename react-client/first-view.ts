import type { Plugin, Rollup } from 'vite';

import { brotli } from './precompressed.ts';

/**
 * What scripts and style sheets of the first view, as brotli, and its fonts may weigh on the wire.
 * The page itself and its icon take the rest of 120 KiB, which a test reads over the wire.
 */
const BUDGET_KIB = 118;
/** The faces of what stands on the first view; those of other scripts come when they are met. */
const FONTS = /^assets\/geist-latin-wght-normal-.*\.woff2$/;

/** Fails the build when the first view – the entry and all that it imports at once – is too heavy. */
export function firstViewBudget(): Plugin {
  return {
    name: 'first-view-budget',
    enforce: 'post',
    generateBundle(_, bundle) {
      const files = filesOfFirstView(bundle);
      const bytes = files.reduce((sum, name) => sum + wireBytes(bundle[name]), 0);
      const kib = (bytes / 1024).toFixed(1);
      const budget = `${String(BUDGET_KIB)} KiB`;
      if (bytes > BUDGET_KIB * 1024) {
        this.error(
          `the first view weighs ${kib} KiB on the wire, of ${budget}: ${files.join(', ')}`,
        );
      }
      this.info(`the first view weighs ${kib} KiB on the wire, of ${budget}`);
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
    if (FONTS.test(name)) seen.add(name);
  }
  return [...seen];
}

function wireBytes(output: Rollup.OutputAsset | Rollup.OutputChunk | undefined): number {
  if (output === undefined) return 0;
  const content = Buffer.from(output.type === 'chunk' ? output.code : output.source);
  return output.fileName.endsWith('.woff2') ? content.length : brotli(content).length;
}
