import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { MessageLog } from './message-log';

interface Entry {
  readonly id: number;
  readonly characters: number;
}

describe('MessageLog', () => {
  it('keeps the newest entries within its bounds and counts every other as dropped', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 30 })),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 100 }),
        (sizes, entries, characters) => {
          const log = new MessageLog<Entry>({ entries, characters });
          for (const size of sizes) log.append({ id: log.nextId, characters: size });

          const kept = log.snapshot();
          expect(log.dropped + kept.length).toBe(sizes.length);
          expect(kept.map(({ id }) => id)).toEqual(kept.map((_, index) => log.dropped + index));
          expect(kept.length).toBeLessThanOrEqual(entries);
          if (kept.length > 1) {
            const weight = kept.reduce((sum, entry) => sum + entry.characters, 0);
            expect(weight).toBeLessThanOrEqual(characters);
          }
          expect(kept.length > 0).toBe(sizes.length > 0);
        },
      ),
    );
  });

  it('keeps the newest entry even when it alone is over the bound', () => {
    const log = new MessageLog<Entry>({ entries: 5, characters: 10 });
    log.append({ id: 0, characters: 3 });
    log.append({ id: 1, characters: 50 });
    expect(log.snapshot()).toEqual([{ id: 1, characters: 50 }]);
    expect(log.dropped).toBe(1);
  });

  it('replaces an entry by its identifier, also after others were dropped', () => {
    const log = new MessageLog<Entry & { note?: string }>({ entries: 2, characters: 100 });
    for (let id = 0; id < 4; id++) log.append({ id, characters: 1 });
    log.replace(3, (entry) => ({ ...entry, note: 'seen' }));
    log.replace(0, (entry) => ({ ...entry, note: 'too late' }));
    expect(log.snapshot()).toEqual([
      { id: 2, characters: 1 },
      { id: 3, characters: 1, note: 'seen' },
    ]);
  });

  it('hands out a snapshot that never changes, and the same one while nothing does', () => {
    const log = new MessageLog<Entry>();
    log.append({ id: 0, characters: 1 });
    const before = log.snapshot();
    expect(log.snapshot()).toBe(before);
    log.append({ id: 1, characters: 1 });
    expect(before).toHaveLength(1);
    expect(log.snapshot()).toHaveLength(2);
  });
});
