import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readJson } from './read-json';
import { KIND, type ValueTree } from './value-tree';

function treeOf(text: string): ValueTree {
  const read = readJson(text);
  if (!read.ok) throw new Error(read.problem.what);
  return read.tree;
}

/** What a tree is of, put together from its nodes: as JSON.parse has it. */
function valueOf(tree: ValueTree, node = 0): unknown {
  switch (tree.kind(node) as number) {
    case KIND.array:
      return [...tree.children(node)].map((child) => valueOf(tree, child));
    case KIND.object: {
      const entries = [...tree.children(node)].map((child) => {
        return [tree.key(child) ?? '', valueOf(tree, child)] as const;
      });
      return Object.fromEntries(entries);
    }
    default:
      return JSON.parse(tree.source(node));
  }
}

const space = fc.string({ unit: fc.constantFrom(' ', '\n', '\t', '\r'), maxLength: 3 });

describe('readJson', () => {
  it('has the values of JSON.parse', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), space, (text, around) => {
        expect(valueOf(treeOf(around + text + around))).toEqual(JSON.parse(text));
      }),
    );
  });

  it('takes a text where JSON.parse does, and no other', () => {
    const characters = fc.constantFrom(...'{}[]",:\\ \n\u0001aeu0123-+.tfnrls'.split(''));
    const pieces = fc.constantFrom('true', 'null', '"a"', '"\\u00e9"', '-0.5e+3', '{"a":', ',"');
    const text = fc.array(fc.oneof(characters, pieces), { maxLength: 12 });
    const broken = fc.tuple(fc.json(), fc.nat(), characters).map(([json, at, character]) => {
      const place = at % (json.length + 1);
      return [json.slice(0, place), character, json.slice(place + 1)];
    });
    fc.assert(
      fc.property(fc.oneof(text, broken), (parts) => {
        const joined = parts.join('');
        let isJson = true;
        try {
          JSON.parse(joined);
        } catch {
          isJson = false;
        }
        const read = readJson(joined);
        expect(read.ok).toBe(isJson);
        if (!read.ok) expect(read.problem.at).toBeLessThanOrEqual(joined.length);
      }),
      { numRuns: 1_000 },
    );
  });

  it('keeps each digit of a number and each of two equal names', () => {
    const tree = treeOf('{"n": 12345678901234567890.10, "n": 1e400, "a\\u0062": "\\ud83d\\ude00"}');
    const children = [...tree.children(0)];
    expect(children.map((node) => tree.source(node))).toEqual([
      '12345678901234567890.10',
      '1e400',
      '"\\ud83d\\ude00"',
    ]);
    expect(children.map((node) => tree.key(node))).toEqual(['n', 'n', 'ab']);
    expect(children.map((node) => tree.hasKey(node, 'ab'))).toEqual([false, false, true]);
    expect(tree.content(children[2] ?? 0)).toBe('😀');
  });

  it('numbers nodes so that what is inside of one follows it', () => {
    const tree = treeOf('[[1, {"a": []}], 2]');
    expect(tree.count).toBe(6);
    expect([0, 1, 2, 3, 4, 5].map((node) => tree.after(node))).toEqual([6, 5, 3, 5, 5, 6]);
    expect([0, 1, 2, 3, 4, 5].map((node) => tree.parent(node))).toEqual([-1, 0, 1, 1, 3, 0]);
    expect([0, 1, 2, 3, 4, 5].map((node) => tree.place(node))).toEqual([0, 0, 0, 1, 0, 1]);
    expect([0, 1, 3, 4].map((node) => tree.size(node))).toEqual([2, 2, 1, 0]);
  });

  it('reads brackets within brackets, however many', () => {
    const depth = 200_000;
    const tree = treeOf('['.repeat(depth) + ']'.repeat(depth));
    expect(tree.count).toBe(depth);
    expect(tree.parent(depth - 1)).toBe(depth - 2);
    expect(readJson('['.repeat(depth))).toMatchObject({ ok: false, problem: { at: depth } });
  });

  it.each([
    ['', 'a value expected, the text ends', 1, 1],
    ['{"a": 1,\n "b": x}', 'a value expected, “x” found', 2, 7],
    ['[1, 2', '“,” or “]” expected, the text ends', 1, 6],
    ['[1,]', 'a value expected, “]” found', 1, 4],
    ['{"a": 1,}', 'a name in double quotes expected, “}” found', 1, 9],
    ['{a: 1}', 'a name in double quotes or “}” expected, “a” found', 1, 2],
    ['{"a" 1}', '“:” expected, “1” found', 1, 6],
    ['{"a": "b}', 'the string that begins here does not end', 1, 7],
    ['["a\nb"]', 'a control character (U+000A) in a string has to be escaped', 1, 4],
    ['["\\x"]', '“\\x” is no escape', 1, 3],
    ['["\\u12"]', '“\\u” needs four hex digits', 1, 3],
    ['{} {}', 'the end of the text expected, “{” found', 1, 4],
    ['{"a": 👋}', 'a value expected, “👋” found', 1, 7],
  ])('says of %j what is wrong, and where', (text, what, line, column) => {
    expect(readJson(text)).toMatchObject({ ok: false, problem: { what, line, column } });
  });
});
