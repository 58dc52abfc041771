import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { asDoubleIfOther, canonicalNumber, compareNumbers } from './decimal';

describe('a number in a text', () => {
  it.each([
    ['15', '1.50e1'],
    ['0', '-0.00e7'],
    ['-1200', '-1.2E+3'],
    ['1e400', '0.1e401'],
  ])('is the same however it is written: %s and %s', (one, other) => {
    expect(canonicalNumber(one)).toBe(canonicalNumber(other));
    expect(compareNumbers(one, other)).toBe(0);
  });

  it.each([
    ['9007199254740993', '9007199254740992'],
    ['12345678901234567890', '12345678901234567000'],
    ['1e400', 'Infinity'],
    ['1e-400', '0'],
    ['0.1', null],
    ['-1.50', null],
    ['1e21', null],
    ['9007199254740992', null],
  ])('that a double does not hold is told: %s', (text, double) => {
    expect(asDoubleIfOther(text)).toBe(double);
  });

  it('is compared exactly', () => {
    fc.assert(
      fc.property(fc.bigInt(), fc.bigInt({ min: -2n, max: 2n }), (whole, more) => {
        const order = more < 0n ? 1 : more > 0n ? -1 : 0;
        expect(compareNumbers(String(whole), String(whole + more))).toBe(order);
        expect(compareNumbers(`${String(whole)}.0`, `${String(whole + more)}e0`)).toBe(order);
      }),
    );
    fc.assert(
      fc.property(fc.double({ noNaN: true }), fc.double({ noNaN: true }), (a, b) => {
        fc.pre(Number.isFinite(a) && Number.isFinite(b));
        expect(Math.sign(compareNumbers(String(a), String(b)))).toBe(a < b ? -1 : Number(a > b));
        expect(asDoubleIfOther(JSON.stringify(a))).toBeNull();
      }),
    );
  });
});
