import fc from 'fast-check';
import { expect, test } from 'vitest';

import { readUtf8 } from './read-utf8';

test('bytes that are not UTF-8 are told by the first that cannot stand there', () => {
  const bytes = fc.array(
    fc.oneof(
      fc.string({ unit: 'binary' }).map((text) => [...new TextEncoder().encode(text)]),
      fc.array(fc.integer({ min: 0x7f, max: 0xff }), { maxLength: 4 }),
    ),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(bytes, (parts) => {
      const all = Uint8Array.from(parts.flat());
      const { text, badAt } = readUtf8(all);
      const strict = (part: Uint8Array) => {
        try {
          return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(part);
        } catch {
          return null;
        }
      };
      expect(badAt === -1).toBe(strict(all) !== null);
      if (badAt === -1) return;
      // All before it is UTF-8, and nothing that begins with it is.
      expect(strict(all.subarray(0, badAt))).not.toBeNull();
      for (let length = 1; length <= 4; length++) {
        if (badAt + length <= all.length) {
          expect(strict(all.subarray(badAt, badAt + length))).toBeNull();
        }
      }
      expect(text).toContain('\ufffd');
    }),
    { numRuns: 500 },
  );
});
