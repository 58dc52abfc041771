import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { hexDump, readHex, writeHex } from './hex';

const bytesOf = (typed: string) => {
  const read = readHex(typed);
  return read.ok ? [...read.bytes] : read.problem;
};

describe('readHex', () => {
  it.each(['de ad be ef', 'DEADBEEF', '0xde, 0xAD, 0xbe, 0xef', 'de:ad:be:ef', ' dead\n\tbeef '])(
    'reads %j as people write it',
    (typed) => {
      expect(bytesOf(typed)).toEqual([0xde, 0xad, 0xbe, 0xef]);
    },
  );

  it.each([
    ['de a', '“a” is half a byte short: two digits each.'],
    ['00 zz', '“z” is not a hex digit.'],
  ])('says of %j that %s', (typed, problem) => {
    expect(bytesOf(typed)).toBe(problem);
  });

  it('reads back whatever was written', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(bytesOf(writeHex(bytes))).toEqual([...bytes]);
      }),
    );
  });
});

describe('hexDump', () => {
  it('shows offset, bytes and what is printable of them', () => {
    const bytes = Uint8Array.from([...new TextEncoder().encode('hello, wörld! |'), 0, 255]);
    expect(hexDump(bytes).split('\n')).toEqual([
      '00000000  68 65 6c 6c 6f 2c 20 77  c3 b6 72 6c 64 21 20 7c  |hello, w..rld! ||',
      '00000010  00 ff                                             |..|',
    ]);
  });
});
