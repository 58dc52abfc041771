import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readJson } from './read-json';
import { mayHave, nodesAt, passes, pathOf, readPath, readTest } from './value-path';

const TEXT =
  '{"type": "tick", "id": 9007199254740993, "params": {"id": 7, "a b": [1, 2, {"id": null}]}, ' +
  '"twice": 1, "twice": 2, "": {"0": "zero"}, "items": [{"id": 1}, {"id": 2, "more": {"id": 3}}]}';

function treeOf(text: string) {
  const read = readJson(text);
  if (!read.ok) throw new Error(read.problem.what);
  return read.tree;
}

const TREE = treeOf(TEXT);

function found(typed: string) {
  const path = readPath(typed);
  return path.ok ? nodesAt(TREE, path.value).map((node) => TREE.source(node)) : path.problem;
}

describe('a path', () => {
  it.each([
    ['$', [TEXT]],
    ['type', ['"tick"']],
    ['$.type', ['"tick"']],
    ["$['type']", ['"tick"']],
    ['params.id', ['7']],
    ['$.params["a b"][1]', ['2']],
    ["params['a b'][-1].id", ['null']],
    ['params["\\u0061 b"][0]', ['1']],
    ['items.1.id', ['2']],
    ['$[""].0', ['"zero"']],
    ['$[""][0]', []],
    ['items[*].id', ['1', '2']],
    ['items.*.id', ['1', '2']],
    ['$..id', ['9007199254740993', '7', 'null', '1', '2', '3']],
    ['items..id', ['1', '2', '3']],
    ['$..items..id', ['1', '2', '3']],
    ['twice', ['1', '2']],
    ['items[7]', []],
    ['nothing.here', []],
  ])('%s finds %j', (typed, sources) => {
    expect(found(typed)).toEqual(sources);
  });

  it.each([
    ['a..', 'Character 2: a path expected, “..” is none.'],
    ['a[01]', 'Character 2: a path expected, “[01]” is none.'],
    ['a b', 'Character 2: a path expected, “ b” is none.'],
    ['.', 'Character 1: a path expected, “.” is none.'],
    [
      'items[?@.id == 7]',
      'Filters in brackets are not read here: write the path and compare, as in items[*].id == 7.',
    ],
  ])('that is none says where: %s', (typed, problem) => {
    expect(found(typed)).toBe(problem);
  });

  it('of a value leads back to it', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), (text) => {
        const tree = treeOf(text);
        for (let node = 0; node < tree.count; node++) {
          const path = readPath(pathOf(tree, node));
          expect(path.ok && nodesAt(tree, path.value)).toContain(node);
          if (path.ok) expect(mayHave(text, path.value)).toBe(true);
        }
      }),
    );
  });

  it('stays bounded where it finds the whole of a deep or long message', () => {
    const long = treeOf(`[${'1,'.repeat(100_000)}1]`);
    const deep = treeOf('['.repeat(20_000) + ']'.repeat(20_000));
    for (const tree of [long, deep]) {
      const path = readPath('$..*..*');
      expect(path.ok && nodesAt(tree, path.value).length).toBeLessThanOrEqual(1_000);
    }
    expect(pathOf(deep, 19_999)).toHaveLength(1 + 3 * 19_999);
  });
});

describe('a test of what stands at a path', () => {
  it.each([
    ['type', true],
    ['nothing', false],
    ['type == "tick"', true],
    ["type = 'tick'", true],
    ['type != "tick"', false],
    ['params.id >= 7', true],
    ['params.id < 7', false],
    ['params.id == 7.0', true],
    ['params.id == "7"', false],
    ['params.id != "7"', true],
    ['id == 9007199254740993', true],
    ['id == 9007199254740992', false],
    ['id > 9007199254740992', true],
    ['params["a b"][2].id == null', true],
    ['twice == 2', true],
    ['items[*].id > 1', true],
    ['type > "tic"', true],
    ['nothing != 1', false],
  ])('%s: %s', (typed, does) => {
    const test = readTest(typed);
    expect(test.ok && passes(TREE, test.value)).toBe(does);
  });

  it.each([
    ['type == tick', 'After ==: a number, true, false, null, or text in quotes.'],
    ['type == {}', 'After ==: a number, true, false, null, or text in quotes.'],
    ['type ~ 1', 'Character 5: a path or a comparison expected, “ ~ 1” is none.'],
  ])('that is none says what is missing: %s', (typed, problem) => {
    expect(readTest(typed)).toEqual({ ok: false, problem });
  });
});
