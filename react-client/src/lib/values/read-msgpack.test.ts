import { encode, ExtData } from '@msgpack/msgpack';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readJson } from './read-json';
import { readMsgpack } from './read-msgpack';
import { indented } from './value-text';
import { KIND, type ValueTree } from './value-tree';

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
}

function sourceOf(hex: string) {
  const { tree, problem } = readMsgpack(bytesOf(hex.replaceAll(' ', '')));
  return problem ?? tree?.text;
}

/** What JavaScript has for it. */
function valueOf(tree: ValueTree, node = 0): unknown {
  switch (tree.kind(node) as number) {
    case KIND.array:
      return [...tree.children(node)].map((child) => valueOf(tree, child));
    case KIND.object: {
      const children = [...tree.children(node)];
      return Object.fromEntries(children.map((child) => [tree.key(child), valueOf(tree, child)]));
    }
    case KIND.number:
      return Number(tree.source(node));
    case KIND.bytes:
      return bytesOf(tree.source(node).slice(2, -1));
    default:
      return JSON.parse(tree.source(node));
  }
}

describe('readMsgpack', () => {
  it('has the values that an independent encoder was given', () => {
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: 'small' },
        fc.constant(null),
        fc.boolean(),
        fc.maxSafeInteger(),
        fc.integer(),
        fc.double({ noNaN: true }),
        fc.string({ unit: 'grapheme', maxLength: 300 }),
        fc.uint8Array({ maxLength: 300 }),
        fc.array(tie('any'), { maxLength: 20 }),
        fc.dictionary(fc.string(), tie('any'), { maxKeys: 20 }),
      ),
    })).any;
    fc.assert(
      fc.property(value, (given) => {
        const { tree, problem } = readMsgpack(encode(given));
        expect(problem).toBeNull();
        // Of zero, MessagePack's integers know no sign.
        if (tree !== null) expect(valueOf(tree)).toEqual(withoutSign(given));
      }),
    );
  });

  it('reads bytes of any kind without failing, or says at which of them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const { tree, problem } = readMsgpack(bytes);
        expect(tree === null).toBe(problem !== null && !problem.what.includes('after the value'));
        if (problem !== null) expect(problem.at).toBeLessThanOrEqual(bytes.length);
        // Each node is where it says: none is beyond the text, or out of order.
        for (let node = 0; node < (tree?.count ?? 0); node++) {
          expect(tree?.end(node)).toBeGreaterThan(tree?.start(node) ?? 0);
          expect(tree?.byteAt(node)).toBeLessThan(bytes.length);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    ['cf ff ff ff ff ff ff ff ff', '18446744073709551615'],
    ['d3 80 00 00 00 00 00 00 00', '-9223372036854775808'],
    ['ca 3f 80 00 00', '1.0'],
    ['cb 7f f8 00 00 00 00 00 00', 'NaN'],
    ['82 01 c3 a1 61 c0', '{1: true, "a": null}'],
    ['82 a1 61 01 a1 61 02', '{"a": 1, "a": 2}'],
    ['93 90 80 c4 02 00 ff', "[[], {}, h'00ff']"],
    ['c7 03 05 01 02 03', "h'010203'"],
    ['d6 ff 00 00 00 01', '"1970-01-01T00:00:01Z"'],
    ['d7 ff 00 00 00 04 00 00 00 01', '"1970-01-01T00:00:01.000000001Z"'],
    ['c7 0c ff 00 00 00 01 ff ff ff ff ff ff ff ff', '"1969-12-31T23:59:59.000000001Z"'],
    ['a2 61 ff', "h'61ff'"],
  ])('writes %s as %s', (hex, source) => {
    expect(sourceOf(hex)).toBe(source);
  });

  it.each([
    ['', 0, 'the message ends where a value should begin'],
    ['92 01', 2, 'the message ends where a value should begin'],
    ['92 01 c1', 2, '0xc1 begins no value'],
    ['91 a5 68 69', 1, 'the value that begins here is cut: 5 bytes needed from byte 2, 2 there'],
    [
      'c6 ff ff ff ff 00',
      0,
      'the value that begins here is cut: 4,294,967,295 bytes needed from byte 5, 1 there',
    ],
    ['81 91 01 02', 1, 'a name that is itself a map or an array'],
    ['01 02 03', 1, '2 bytes after the value'],
  ])('says of %s at which byte it cannot be read', (hex, at, what) => {
    expect(sourceOf(hex)).toEqual({ at, what });
  });

  it('keeps the type of an extension, and is as deep as a message may be', () => {
    const { tree } = readMsgpack(encode(new ExtData(7, new Uint8Array([1]))));
    expect(tree?.notes.get(0)).toBe('extension 7');
    const deep = new Uint8Array(200_000).fill(0x91);
    deep[deep.length - 1] = 0xc0;
    expect(readMsgpack(deep).tree?.count).toBe(200_000);
    expect(readMsgpack(new Uint8Array(1_000).fill(0x91)).problem?.at).toBe(1_000);
  });

  it('writes JSON where JSON has such values', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (given) => {
        const { tree } = readMsgpack(encode(given));
        if (tree === null) throw new Error('not read');
        const read = readJson(tree.text);
        expect(read.ok && indented(read.tree)).toEqual(indented(tree));
      }),
    );
  });
});

function withoutSign(value: unknown): unknown {
  if (Object.is(value, -0)) return expect.closeTo(0);
  if (Array.isArray(value)) return value.map(withoutSign);
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withoutSign(one)]));
}
