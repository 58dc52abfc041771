import { describe, expect, it } from 'vitest';

import { pythonHundredths, pythonNumber, pythonString } from './python-text';

// The expected texts are what Python 3.13 has written.
describe('what a script in Python has', () => {
  it.each([
    ['plain', "'plain'"],
    ["it's", '"it\'s"'],
    ['a\'b"c', "'a\\'b\"c'"],
    ['\n\t\r\\', "'\\n\\t\\r\\\\'"],
    ['\0\x7f\x80\xa0', "'\\x00\\x7f\\x80\\xa0'"],
    ['\u200b\u2028\ud83d', "'\\u200b\\u2028\\ud83d'"],
    ['é 😀 \u{e0001}', "'é 😀 \\U000e0001'"],
  ])('is a text: %j', (text, written) => {
    expect(pythonString(text)).toBe(written);
  });

  it.each([
    ['123456789012345678901234567890', '123456789012345678901234567890'],
    ['-0', '0'],
    ['-0.0', '-0.0'],
    ['1E5', '100000.0'],
    ['1.0', '1.0'],
    ['0.0001', '0.0001'],
    ['1.5e-7', '1.5e-07'],
    ['1e16', '1e+16'],
    ['123456789012345678.0', '1.2345678901234568e+17'],
    ['1e-5', '1e-05'],
    ['9999999999999998.0', '9999999999999998.0'],
  ])('is a number: %s', (source, written) => {
    expect(pythonNumber(source)).toBe(written);
  });

  it('is rounded as there', () => {
    const rounded = [0.125, 0.375, 0.625, 0.875, 0.3, 1, 12.345].map(pythonHundredths);
    expect(rounded).toEqual(['0.12', '0.38', '0.62', '0.88', '0.30', '1.00', '12.35']);
  });
});
