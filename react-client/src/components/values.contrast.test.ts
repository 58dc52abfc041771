import { readFileSync } from 'node:fs';

import { expect, test } from 'vitest';

const read = (name: string) => readFileSync(new URL(name, import.meta.url), 'utf8');
const TOKENS = read('../app/tokens.css');
const VALUES = read('./values.module.css');

/** The colours of a style sheet, in light and in dark. */
function coloursOf(sheet: string): Map<string, readonly [string, string]> {
  const found = sheet.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g);
  return new Map([...found].map(([, name = '', light = '', dark = '']) => [name, [light, dark]]));
}

/** Relative luminance, as WCAG 2.2 has it. */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const share = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one: string, other: string): number {
  const [darker = 0, lighter = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (lighter + 0.05) / (darker + 0.05);
}

const grounds = coloursOf(TOKENS);
const GROUNDS = ['ground', 'surface', 'surface-raised', 'accent-wash'].map((name) => ({ name }));

test.each(GROUNDS)('the colours of values stand out from $name', ({ name }) => {
  const ground = grounds.get(name);
  const colours = coloursOf(VALUES);
  expect(colours.size).toBe(6);
  for (const [value, shades] of colours) {
    for (const scheme of [0, 1] as const) {
      const ratio = contrast(shades[scheme], ground?.[scheme] ?? '');
      expect(ratio, `${value}, ${scheme === 0 ? 'light' : 'dark'}`).toBeGreaterThanOrEqual(4.5);
    }
  }
});
