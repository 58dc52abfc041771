import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { formatJson } from './composer-draft';

describe('JSON that is indented', () => {
  it('has the lines of JSON.stringify, wherever it had space before', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), fc.nat(3), (value, spaces) => {
        const text = JSON.stringify(value, null, spaces);
        expect(formatJson(text)).toBe(JSON.stringify(JSON.parse(text), null, 2));
      }),
    );
  });

  it('keeps each digit of a number and each of two equal names, which are to be sent', () => {
    expect(formatJson('{"n": 12345678901234567890.10, "n":1.0}')).toBe(
      '{\n  "n": 12345678901234567890.10,\n  "n": 1.0\n}',
    );
  });

  it('stays as it is where it is none, and bounded where it is deep', () => {
    expect(formatJson('{"a": ')).toBe('{"a": ');
    const deep = '['.repeat(20_000) + ']'.repeat(20_000);
    expect(formatJson(deep).length).toBeLessThan(70 * deep.length);
  });
});
