import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import { readTyped, type TypedKind } from './typed-values';

type Table = Record<TypedKind, { hint: string; texts: Record<string, number | null> }>;
const { about, ...table } = JSON.parse(
  readFileSync(new URL('../../../tests/units.json', import.meta.url), 'utf8'),
) as Table & { about: string };

describe.each(Object.entries(table))('a %s', (kind, { hint, texts }) => {
  it.each(Object.entries(texts))('%j stands for %j', (text, value) => {
    const read = readTyped(kind as TypedKind, text);
    expect(read).toEqual(value === null ? { problem: `‘${text}’ ${hint}` } : { value });
  });
});

it('reads every kind of the table, which says who else reads it', () => {
  expect(about).toContain('test_units.py');
  expect(Object.keys(table)).toHaveLength(6);
});
