import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { type AxisRange, moved, scaled, withinWhole } from './zoom-range';

const WHOLE: AxisRange = [100, 160];

describe('a range of a chart', () => {
  it('stays inside what there is, and all of it is no range', () => {
    expect(withinWhole([90, 110], WHOLE)).toEqual([100, 120]);
    expect(withinWhole([155, 175], WHOLE)).toEqual([140, 160]);
    expect(withinWhole([100, 160], WHOLE)).toBeNull();
    expect(withinWhole([0, 1_000], WHOLE)).toBeNull();
    // A run of a second has no part to look at.
    expect(withinWhole([0.2, 0.4], [0, 1])).toBeNull();
  });

  it('is zoomed around a place, which stays where it is', () => {
    expect(scaled(WHOLE, WHOLE, 0.5)).toEqual([115, 145]);
    expect(scaled(WHOLE, WHOLE, 0.5, 100)).toEqual([100, 130]);
    expect(scaled([115, 145], WHOLE, 2)).toBeNull();
    expect(scaled([100, 103], WHOLE, 0.1, 103)).toEqual([101, 103]);
  });

  it('is all again when it was zoomed in and out, at any moment of a clock', () => {
    const whole = fc
      .tuple(
        fc.double({ min: 1.7e9, max: 1.9e9, noNaN: true }),
        fc.double({ min: 4.1, max: 1e5, noNaN: true }),
      )
      .map(([from, length]): AxisRange => [from, from + length]);
    fc.assert(
      fc.property(whole, fc.double({ min: 0, max: 1, noNaN: true }), (all, share) => {
        const at = all[0] + share * (all[1] - all[0]);
        const part = scaled(all, all, 0.5, at);
        expect(part).not.toBeNull();
        expect(part && scaled(part, all, 2, at)).toBeNull();
      }),
    );
  });

  it('moves on by a part of itself, up to the end', () => {
    expect(moved([110, 130], WHOLE, 0.25)).toEqual([115, 135]);
    expect(moved([110, 130], WHOLE, -0.75)).toEqual([100, 120]);
    expect(moved([130, 150], WHOLE, 5)).toEqual([140, 160]);
  });

  it('never leaves the whole, whatever is pressed', () => {
    const step = fc.oneof(
      fc.double({ min: 0.1, max: 4, noNaN: true }).map((factor) => ({ factor })),
      fc.double({ min: -2, max: 2, noNaN: true }).map((share) => ({ share })),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        let range: AxisRange = WHOLE;
        for (const one of steps) {
          const next =
            'factor' in one ? scaled(range, WHOLE, one.factor) : moved(range, WHOLE, one.share);
          range = next ?? WHOLE;
          expect(range[0]).toBeGreaterThanOrEqual(WHOLE[0]);
          expect(range[1]).toBeLessThanOrEqual(WHOLE[1] + 1e-9);
          expect(range[1] - range[0]).toBeGreaterThan(1.99);
        }
      }),
    );
  });
});
