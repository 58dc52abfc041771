import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { besideLines, type Box, inRows, insideOf, withoutCollisions } from './chart-labels';

describe('labels of a chart', () => {
  it('on its axis do not run into each other; those of the rarest stay', () => {
    const labels = ['0 %', '50 %', '90 %', '99 %', '99.9 %'];
    const width = (label: string) => label.length * 6;
    expect(withoutCollisions(labels, [0, 100, 200, 300, 400], width)).toEqual(labels);
    expect(withoutCollisions(labels, [0, 30, 60, 90, 120], width)).toEqual([
      '0 %',
      '50 %',
      '90 %',
      '',
      '99.9 %',
    ]);
  });

  it('are left out where an edge would cut them', () => {
    const labels = ['14:02:00', '14:02:05', '14:02:10'];
    const cut = insideOf({ from: -10, to: 106 }, labels, [0, 50, 100], () => 48);
    expect(cut).toEqual(['', '14:02:05', '']);
  });
});

describe('labels of limits', () => {
  const PLOT = { left: 40, right: 300, top: 0, bottom: 130 };
  const box = (right: number, top: number, width = 100): Box => {
    return { left: right - width, right, top, bottom: top + 15 };
  };

  it('stand above their lines, or below where there is another', () => {
    const lines = [
      { y: 100, width: 100 },
      { y: 40, width: 100 },
      { y: 98, width: 100 },
    ];
    expect(besideLines(lines, PLOT, 15, 2)).toEqual([box(300, 102), box(300, 23), box(300, 81)]);
  });

  it('stand below a line at the top, and above one at the bottom', () => {
    const lines = [
      { y: 10, width: 100 },
      { y: 120, width: 100 },
    ];
    expect(besideLines(lines, PLOT, 15, 2)).toEqual([box(300, 12), box(300, 103)]);
  });

  it('stand side by side where lines are close together', () => {
    const lines = [96, 98, 100].map((y) => ({ y, width: 100 }));
    expect(besideLines(lines, PLOT, 15, 2)).toEqual([box(300, 79), box(300, 100), box(196, 102)]);
  });

  it('never leave the plot, nor cover each other', () => {
    const line = fc.record({
      y: fc.integer({ min: 0, max: 130 }),
      width: fc.integer({ min: 20, max: 260 }),
    });
    fc.assert(
      fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
        const places = besideLines(lines, PLOT, 15, 2).filter((place) => place !== null);
        for (const [index, one] of places.entries()) {
          expect(one.left).toBeGreaterThanOrEqual(PLOT.left);
          expect(one.right).toBeLessThanOrEqual(PLOT.right);
          expect(one.top).toBeGreaterThanOrEqual(PLOT.top);
          expect(one.bottom).toBeLessThanOrEqual(PLOT.bottom);
          for (const other of places.slice(index + 1)) {
            const isApart =
              one.right <= other.left ||
              other.right <= one.left ||
              one.bottom <= other.top ||
              other.bottom <= one.top;
            expect(isApart).toBe(true);
          }
        }
      }),
    );
  });
});

describe('labels of marks', () => {
  const room = { from: 0, to: 100 };

  it('go a row down where the one before is in their way, and left of a mark near the end', () => {
    const marks = [10, 20, 30, 35, 90].map((x) => ({ x, width: 30 }));
    expect(inRows(marks, room, 2)).toEqual([
      { left: 10, row: 0 },
      { left: 20, row: 1 },
      null,
      null,
      { left: 60, row: 0 },
    ]);
    expect(inRows(marks, room, 3)[2]).toEqual({ left: 30, row: 2 });
  });

  it('never lie over each other', () => {
    const mark = fc.record({ x: fc.nat(100), width: fc.integer({ min: 1, max: 40 }) });
    fc.assert(
      fc.property(
        fc.array(mark, { maxLength: 12 }),
        fc.integer({ min: 1, max: 3 }),
        (all, rows) => {
          const marks = all.sort((a, b) => a.x - b.x);
          const places = inRows(marks, room, rows).flatMap((place, index) =>
            place === null ? [] : [{ ...place, right: place.left + (marks[index]?.width ?? 0) }],
          );
          for (const [index, one] of places.entries()) {
            expect(one.left).toBeGreaterThanOrEqual(room.from);
            for (const other of places.slice(index + 1)) {
              if (one.row === other.row) {
                expect(one.right <= other.left || other.right <= one.left).toBe(true);
              }
            }
          }
        },
      ),
    );
  });
});
