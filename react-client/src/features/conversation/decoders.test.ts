import { describe, expect, it } from 'vitest';

import { NO_CHOICE } from './binary-choice';
import { decode, messageTypesOf, readDescriptor } from './decoders';

const decodeAs = (decoder: 'utf-8' | 'msgpack' | 'protobuf', ...bytes: number[]) =>
  decode(Uint8Array.from(bytes), { ...NO_CHOICE, decoder });

describe('a decoder', () => {
  it('reads text, and values where the text is JSON', () => {
    const json = [...new TextEncoder().encode('{"a": 1}')];
    expect(decodeAs('utf-8', ...json)).toMatchObject({ text: '{"a": 1}', problem: null });
    expect(decodeAs('utf-8', ...json).tree?.source(1)).toBe('1');
    expect(decodeAs('utf-8', 0x68, 0x69)).toMatchObject({ text: 'hi', tree: null });
  });

  it.each([
    [
      decodeAs('utf-8', 0x68, 0xff, 0x69),
      'UTF-8, byte 1 (0x1): 0xff cannot stand here.',
      '68 ff 69\n   ▲',
    ],
    [
      decodeAs('msgpack', 0x92, 1, 2, 3, 4, 5, 6, 7, 8, 9),
      'MessagePack, byte 3 (0x3): 7 bytes after the value.',
      '92 01 02 03 04 05 06 07\n         ▲',
    ],
    [
      decodeAs('protobuf', 8, 1, 8, 1, 8, 1, 8, 1, 0, 1),
      'Protobuf, byte 8 (0x8): 0 is no field number.',
      '… 01 08 01 08 01 00 01\n                 ▲',
    ],
  ])(
    'says at which byte it cannot go on, and shows what stands there',
    (decoded, sentence, excerpt) => {
      expect(decoded.problem).toEqual({ sentence, excerpt });
    },
  );

  it('leaves alone what is too large', () => {
    const { problem, tree } = decodeAs('msgpack', ...new Uint8Array(0));
    expect(problem?.sentence).toContain('byte 0');
    expect(tree).toBeNull();
    const large = decode(new Uint8Array(5_000_000), { ...NO_CHOICE, decoder: 'msgpack' });
    expect(large.problem?.sentence).toMatch(/^Longer than 4,194,304 bytes/);
  });

  it('goes without names where the descriptor that was kept is none', () => {
    for (const descriptor of ['***', btoa('nonsense')]) {
      const how = { decoder: 'protobuf', descriptor, messageType: 'x.Y' } as const;
      expect(decode(Uint8Array.from([8, 1]), how).tree?.text).toBe('{1: 1}');
      expect(messageTypesOf(descriptor)).toEqual([]);
    }
    expect(readDescriptor(Uint8Array.from([0])).ok).toBe(false);
  });
});
