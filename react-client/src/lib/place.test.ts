import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { readPlace, VIEWS, writePlace } from './place';

describe('place', () => {
  it.each(['', '#', '#/', '#nowhere', '#/chat'])('%j is the chat', (hash) => {
    expect(readPlace(hash)).toMatchObject({ view: 'chat' });
  });

  it('reads a link to a load run', () => {
    const { view, settings } = readPlace('#/load?count=1000&fail_if=messages.lost%3E0');
    expect(view).toBe('load');
    expect(Object.fromEntries(settings)).toEqual({ count: '1000', fail_if: 'messages.lost>0' });
  });

  it('reads back whatever it writes', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...VIEWS),
        fc.array(fc.tuple(fc.string(), fc.string())),
        (view, settings) => {
          const place = { view, settings: new URLSearchParams(settings) };
          const read = readPlace(writePlace(place));
          expect(read.view).toBe(view);
          expect([...read.settings]).toEqual([...place.settings]);
        },
      ),
    );
  });
});
