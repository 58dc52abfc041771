import {
  create,
  createFileRegistry,
  fromJson,
  type JsonObject,
  toBinary,
} from '@bufbuild/protobuf';
import {
  FieldDescriptorProto_Label as Label,
  FieldDescriptorProto_Type as Type,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readSchema } from './protobuf-schema';
import { readProtobuf } from './read-protobuf';
import { KIND, type ValueTree } from './value-tree';

const SCALARS = [
  ['double', Type.DOUBLE],
  ['float', Type.FLOAT],
  ['int64', Type.INT64],
  ['uint64', Type.UINT64],
  ['int32', Type.INT32],
  ['fixed64', Type.FIXED64],
  ['fixed32', Type.FIXED32],
  ['bool', Type.BOOL],
  ['string', Type.STRING],
  ['bytes', Type.BYTES],
  ['uint32', Type.UINT32],
  ['sfixed32', Type.SFIXED32],
  ['sfixed64', Type.SFIXED64],
  ['sint32', Type.SINT32],
  ['sint64', Type.SINT64],
] as const;

/** Every scalar type, once and repeated; an enum, a map, a message within itself. */
const SET = create(FileDescriptorSetSchema, {
  file: [
    {
      name: 'all.proto',
      package: 'test.all',
      syntax: 'proto3',
      enumType: [
        {
          name: 'Colour',
          value: [
            { name: 'NONE', number: 0 },
            { name: 'RED', number: 1 },
            { name: 'BELOW', number: -1 },
          ],
        },
      ],
      messageType: [
        {
          name: 'All',
          field: [
            ...SCALARS.map(([name, type], index) => ({
              name: `one_${name}`,
              jsonName: `one_${name}`,
              number: index + 1,
              label: Label.OPTIONAL,
              type,
            })),
            ...SCALARS.map(([name, type], index) => ({
              name: `many_${name}`,
              jsonName: `many_${name}`,
              number: index + 101,
              label: Label.REPEATED,
              type,
            })),
            {
              name: 'colour',
              number: 50,
              label: Label.OPTIONAL,
              type: Type.ENUM,
              typeName: '.test.all.Colour',
            },
            {
              name: 'inner',
              number: 51,
              label: Label.OPTIONAL,
              type: Type.MESSAGE,
              typeName: '.test.all.All',
            },
            {
              name: 'prices',
              number: 1_000,
              label: Label.REPEATED,
              type: Type.MESSAGE,
              typeName: '.test.all.All.PricesEntry',
            },
          ],
          nestedType: [
            {
              name: 'PricesEntry',
              options: { mapEntry: true },
              field: [
                { name: 'key', number: 1, label: Label.OPTIONAL, type: Type.STRING },
                { name: 'value', number: 2, label: Label.OPTIONAL, type: Type.INT32 },
              ],
            },
          ],
        },
      ],
    },
  ],
});

const ALL = createFileRegistry(SET).getMessage('test.all.All');
if (ALL === undefined) throw new Error('the message is not in its own set');
const WITNESS = ALL;
const read = readSchema(toBinary(FileDescriptorSetSchema, SET));
if (!read.ok) throw new Error(read.problem.what);
const { schema } = read;

function written(json: JsonObject): Uint8Array {
  return toBinary(WITNESS, fromJson(WITNESS, json));
}

/** As protobuf's JSON has it, but for 64 bits, which are numbers here. */
function valueOf(tree: ValueTree, node = 0): unknown {
  switch (tree.kind(node) as number) {
    case KIND.array:
      return [...tree.children(node)].map((child) => valueOf(tree, child));
    case KIND.object: {
      const children = [...tree.children(node)];
      return Object.fromEntries(children.map((child) => [tree.key(child), valueOf(tree, child)]));
    }
    case KIND.number:
      return tree.source(node);
    default:
      return tree.content(node);
  }
}

const wide = { int64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) };
const narrow = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const VALUES: Readonly<
  Record<(typeof SCALARS)[number][0], fc.Arbitrary<string | number | boolean>>
> = {
  double: fc.double({ noNaN: true, noDefaultInfinity: true }),
  float: fc.float({ noNaN: true, noDefaultInfinity: true }),
  int64: wide.int64.map(String),
  uint64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
  int32: narrow,
  fixed64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
  fixed32: fc.nat({ max: 2 ** 32 - 1 }),
  bool: fc.boolean(),
  string: fc.string({ unit: 'grapheme' }),
  bytes: fc.uint8Array().map((bytes) => Buffer.from(bytes).toString('base64')),
  uint32: fc.nat({ max: 2 ** 32 - 1 }),
  sfixed32: narrow,
  sfixed64: wide.int64.map(String),
  sint32: narrow,
  sint64: wide.int64.map(String),
};

/** What a reader is to show for what protobuf's JSON says. */
function shownOf(type: string, value: string | number | boolean): string {
  if (type === 'bytes') return `h'${Buffer.from(String(value), 'base64').toString('hex')}'`;
  if (type !== 'double' && type !== 'float') return String(value);
  if (Object.is(value, -0)) return '-0.0';
  return Number.isInteger(value) && Math.abs(Number(value)) < 1e21
    ? `${String(value)}.0`
    : String(value);
}

describe('a protobuf message with a descriptor', () => {
  it('has the values that an independent encoder was given, in every type', () => {
    const field = fc.constantFrom(...SCALARS.map(([name]) => name)).chain((name) =>
      fc.record({
        name: fc.constant(name),
        values: fc.array(VALUES[name], { minLength: 1, maxLength: 5 }),
      }),
    );
    fc.assert(
      fc.property(
        field,
        fc.dictionary(fc.string(), narrow, { noNullPrototype: true }),
        ({ name, values }, prices) => {
          const bytes = written({ [`many_${name}`]: values, prices, inner: { colour: 'RED' } });
          const { tree, problem } = readProtobuf(bytes, schema, 'test.all.All');
          expect(problem).toBeNull();
          if (tree === null) return;
          expect(valueOf(tree)).toEqual({
            [`many_${name}`]: values.map((value) => shownOf(name, value)),
            inner: { colour: 'RED' },
            ...(Object.keys(prices).length > 0 && {
              prices: Object.fromEntries(
                Object.entries(prices).map(([key, value]) => [key, String(value)]),
              ),
            }),
          });
        },
      ),
      { numRuns: 300 },
    );
  });

  it('shows in its place, by number, what the descriptor does not know', () => {
    const bytes = Uint8Array.from([
      0xba,
      0x3f,
      0x02,
      0x68,
      0x69,
      ...written({ one_int32: 7 }),
      0x10,
      0x01,
    ]);
    const { tree } = readProtobuf(bytes, schema, 'test.all.All');
    expect(tree?.text).toBe('{1015: "hi", "one_int32": 7, 2: 1}'.replace('2: 1', '"one_float": 1'));
    expect([...(tree?.notes.values() ?? [])]).toEqual([
      'not in the schema, string or bytes',
      'not in the schema, varint',
    ]);
  });

  it('keeps the bytes of a string that is none, and the number of an enum without a name', () => {
    const bytes = Uint8Array.from([0x4a, 0x02, 0x61, 0xff, 0x90, 0x03, 0x09]);
    const { tree } = readProtobuf(bytes, schema, 'test.all.All');
    expect(tree?.text).toBe('{"one_string": h\'61ff\', "colour": 9}');
    expect([...(tree?.notes.values() ?? [])]).toEqual([
      'string, not UTF-8 from byte 3',
      'Colour 9, not in the schema',
    ]);
  });

  it('knows the messages of a set, and says of another file where it is none', () => {
    expect([...schema.messages.keys()]).toEqual(['test.all.All', 'test.all.All.PricesEntry']);
    expect(schema.enums.get('test.all.Colour')?.get(-1)).toBe('BELOW');
    const source = new TextEncoder().encode('syntax = "proto3";');
    expect(readSchema(source)).toMatchObject({ ok: false });
    expect(readSchema(new Uint8Array())).toEqual({
      ok: false,
      problem: { at: 0, what: 'it describes no message' },
    });
  });
});

describe('a protobuf message without a descriptor', () => {
  it('is shown as it stands on the wire', () => {
    const bytes = written({
      one_int32: -1,
      one_string: 'testing',
      one_double: 1.5,
      one_fixed32: 1,
      inner: { one_bool: true },
      one_bytes: Buffer.from([0, 255]).toString('base64'),
    });
    const { tree } = readProtobuf(bytes);
    expect(tree?.text).toBe(
      '{1: 4609434218613702656, 5: 18446744073709551615, 7: 1, 9: "testing", 10: h\'00ff\', 51: {8: 1}}',
    );
    expect([...(tree?.notes.values() ?? [])]).toEqual([
      '64 bit, double 1.5',
      'varint, signed -1',
      `32 bit, float ${String(Math.fround(1.401298464324817e-45))}`,
      'string or bytes',
      'bytes',
      'message',
      'varint',
    ]);
    expect([...(tree?.children(0) ?? [])].map((node) => tree?.byteAt(node))).toEqual([
      0, 9, 20, 25, 34, 38,
    ]);
  });

  it('reads bytes of any kind without failing, or says at which of them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.boolean(), (bytes, hasSchema) => {
        const { tree, problem } = readProtobuf(bytes, hasSchema ? schema : null, 'test.all.All');
        expect(tree === null).toBe(problem !== null);
        if (problem !== null) expect(problem.at).toBeLessThanOrEqual(bytes.length);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    [[0x00], 0, '0 is no field number'],
    [[0x08], 1, 'a number is cut'],
    [[0x08, 0x96], 1, 'a number is cut'],
    [[0x0e], 0, '6 is no wire type'],
    [[0x0a, 0x05, 0x68], 1, 'field 1 should have 5 bytes, 1 are left'],
    [[0x0d, 0x01], 1, 'field 1 is cut'],
    [[0x08, 0x01, 0x0c], 2, 'a group ends here that did not begin'],
    [[0x0b, 0x08, 0x01], 3, 'a number is cut'],
    [[0x0b, 0x14], 1, 'group 1 ends as another'],
    [[0x08, ...Array<number>(10).fill(0xff), 0x01], 1, 'a number has more than ten bytes'],
  ])('says of %j at which byte it cannot be read', (bytes, at, what) => {
    expect(readProtobuf(Uint8Array.from(bytes)).problem).toEqual({ at, what });
  });

  it('is nested no deeper than protobuf allows', () => {
    let bytes = Uint8Array.from([0x08, 0x01]);
    for (let depth = 0; depth < 110; depth++) {
      const length =
        bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7];
      bytes = Uint8Array.from([0x0a, ...length, ...bytes]);
    }
    const { tree } = readProtobuf(bytes);
    expect(tree?.text).toMatch(/^(\{1: ){101}h'/);
    expect(readProtobuf(new Uint8Array(1_000).fill(0x0b)).problem?.what).toContain('too deep');
  });
});
