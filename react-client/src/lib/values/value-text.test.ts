import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readJson } from './read-json';
import { indented, lineSpans } from './value-text';

function treeOf(text: string) {
  const read = readJson(text);
  if (!read.ok) throw new Error(read.problem.what);
  return read.tree;
}

describe('an indented text', () => {
  it('has the lines of JSON.stringify', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value);
        expect(indented(treeOf(text))).toEqual({
          text: JSON.stringify(JSON.parse(text), null, 2),
          isCut: false,
        });
      }),
    );
  });

  it('loses no character that means anything', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), fc.nat(4), (json, spaces) => {
        const text = JSON.stringify(JSON.parse(json), null, spaces).replace(
          /^\{/,
          '{"a":1.0,"a":1e400,',
        );
        fc.pre(readJson(text).ok);
        const once = indented(treeOf(text)).text;
        expect(meaningOf(once)).toEqual(meaningOf(text));
        expect(indented(treeOf(once)).text).toBe(once);
      }),
    );
  });

  it('of a deep or long message stays bounded', () => {
    const deep = '['.repeat(20_000) + ']'.repeat(20_000);
    expect(indented(treeOf(deep)).text.length).toBeLessThan(70 * deep.length);
    const cut = indented(treeOf(`[${'1,'.repeat(500_000)}1]`), 1_000);
    expect(cut.isCut).toBe(true);
    expect(cut.text.length).toBeLessThan(1_100);
  });
});

describe('one line of a message', () => {
  it('loses no character that means anything', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.nat(3), (json, spaces) => {
        const text = JSON.stringify(JSON.parse(json), null, spaces);
        const { spans, isCut } = lineSpans(text, 100_000);
        expect(isCut).toBe(false);
        const line = spans.map((span) => span.text).join('');
        expect(line).not.toMatch(/[\n\r]/);
        expect(meaningOf(line)).toEqual(meaningOf(text));
      }),
    );
  });

  it('tells names, strings, numbers, words and bytes apart', () => {
    const { spans } = lineSpans(
      '{"a":\n "b: c", 1: -2.5, "d": [null, h\'00ff\', Infinity]}',
      1_000,
    );
    expect(spans.filter(({ kind }) => kind !== 'mark')).toEqual([
      { kind: 'name', text: '"a"' },
      { kind: 'string', text: '"b: c"' },
      { kind: 'name', text: '1' },
      { kind: 'number', text: '-2.5' },
      { kind: 'name', text: '"d"' },
      { kind: 'word', text: 'null' },
      { kind: 'bytes', text: "h'00ff'" },
      { kind: 'number', text: 'Infinity' },
    ]);
  });

  it('looks at the beginning of a long text alone, also in the middle of a string', () => {
    const { spans, isCut } = lineSpans(`{"a": "${'x'.repeat(1_000_000)}`, 20);
    expect(spans.map(({ text }) => text).join('')).toBe(`{"a": "${'x'.repeat(13)}`);
    expect(isCut).toBe(true);
  });
});

/** A text without the space between its tokens: the shortest of how JSON may be written. */
function meaningOf(text: string): readonly string[] {
  return text.match(/"(?:[^"\\]|\\.)*"|[^\s"]/gs) ?? [];
}
