import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { between, decimate, onWholeSeconds, since, withGaps } from './time-series';

describe('withGaps', () => {
  it('breaks every column where two moments are too far apart, and nowhere else', () => {
    const series = { times: [1, 2, 3, 9, 10], columns: [[5, 6, 7, 8, 9]] };
    expect(withGaps(series, 2.5)).toEqual({
      times: [1, 2, 3, 6, 9, 10],
      columns: [[5, 6, 7, null, 8, 9]],
    });
  });

  it('leaves a series without gaps as it is', () => {
    const series = { times: [1, 2, 3], columns: [[0, 0, 0]] };
    expect(withGaps(series, 2.5)).toBe(series);
    expect(withGaps({ times: [], columns: [[]] }, 2.5)).toEqual({ times: [], columns: [[]] });
  });
});

describe('decimate', () => {
  it('loses no peak, no trough and no gap', () => {
    const times = Array.from({ length: 10_000 }, (_, row) => row);
    const column: (number | null)[] = times.map(() => 10);
    column[1234] = 99;
    column[5678] = 1;
    column[7777] = null;
    const { times: kept, columns } = decimate({ times, columns: [column] }, 500);
    expect(kept.length).toBeLessThanOrEqual(1_000);
    expect([kept[0], kept.at(-1)]).toEqual([0, 9_999]);
    expect(columns[0]).toContain(99);
    expect(columns[0]).toContain(1);
    expect(columns[0]).toContain(null);
  });

  it('keeps rows whole and in order, whatever the figures', () => {
    const cell = fc.option(fc.integer(), { nil: null });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(cell, cell), { maxLength: 300 }),
        fc.integer({ min: 1, max: 100 }),
        (rows, most) => {
          const series = {
            times: rows.map((_, row) => row),
            columns: [rows.map(([a]) => a), rows.map(([, b]) => b)],
          };
          const { times, columns } = decimate(series, most);
          expect(times).toEqual([...new Set(times)].sort((a, b) => a - b));
          times.forEach((time, row) => {
            expect([columns[0]?.[row], columns[1]?.[row]]).toEqual(rows[time]);
          });
          for (const [index, column] of series.columns.entries()) {
            const figures = column.filter((figure) => figure !== null);
            if (figures.length > 0) expect(columns[index]).toContain(Math.max(...figures));
          }
        },
      ),
    );
  });
});

describe('since', () => {
  it('keeps one row before the window, so that the line enters from the edge', () => {
    const series = { times: [1, 2, 3, 4], columns: [[10, 20, 30, 40]] };
    expect(since(series, 3)).toEqual({ times: [2, 3, 4], columns: [[20, 30, 40]] });
    expect(since(series, 0)).toEqual(series);
  });

  it('is empty when all of it is older', () => {
    expect(since({ times: [1], columns: [[10]] }, 5)).toEqual({ times: [], columns: [[]] });
  });
});

describe('onWholeSeconds', () => {
  it('puts several series on one clock, where each is drawn on over the rows of the others', () => {
    const mine = { times: [1.2, 1.9, 4.5], columns: [[3, 7, 2]] };
    const theirs = { times: [1.01, 2.02, 3.03], columns: [[10, null, 30]] };
    expect(onWholeSeconds([mine, theirs])).toEqual({
      times: [1, 2, 3, 4],
      columns: [
        [7, undefined, undefined, 2],
        [10, null, 30, undefined],
      ],
    });
  });
});

describe('between', () => {
  const series = { times: [1, 2, 3, 4, 5], columns: [[10, null, 30, 40, 50]] };

  it('has the rows of a range, and its neighbours where they are asked for', () => {
    expect(between(series, [2, 4])).toEqual({ times: [2, 3, 4], columns: [[null, 30, 40]] });
    expect(between(series, [2.5, 3.5], 1)).toEqual({ times: [2, 3, 4], columns: [[null, 30, 40]] });
    expect(between(series, [0, 9], 1)).toEqual(series);
  });

  it('has none where there is none', () => {
    expect(between(series, [2.2, 2.8])).toEqual({ times: [], columns: [[]] });
    expect(between(series, [6, 7])).toEqual({ times: [], columns: [[]] });
    expect(between(series, [6, 7], 1)).toEqual({ times: [5], columns: [[50]] });
  });
});
