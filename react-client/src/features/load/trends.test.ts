import { describe, expect, it } from 'vitest';

import {
  explainChange,
  formatTrend,
  levelsOf,
  outcomeOfListed,
  stretchesOf,
  type Trend,
} from './trends';

const TREND: Trend = {
  name: 'latency p99',
  unit: 'ms',
  values: [10, 10, null, 20, 20, 5],
  changes: [
    {
      run: 14,
      started_at: '2027-01-14T02:00:00+00:00',
      before: 10,
      after: 20,
      change: 1,
      noise: 0.02,
      p: 0.001,
      call: 'worse',
    },
    {
      run: 16,
      started_at: '2027-01-16T02:00:00+00:00',
      before: 20,
      after: 0,
      change: -1,
      noise: null,
      p: 0.01,
      call: 'better',
    },
  ],
  noise: null,
};
const RUNS = [11, 12, 13, 14, 15, 16].map((id) => ({
  id,
  started_at: `2027-01-${String(id)}T02:00:00+00:00`,
  verdict: 'valid',
  interrupted: false,
  opened: 1,
  breached: false,
  counted: true,
}));

describe('a figure over time', () => {
  it('stands on one level up to the run before a change', () => {
    expect(levelsOf(TREND, RUNS)).toEqual([
      { from: 0, to: 2, value: 10 },
      { from: 3, to: 4, value: 20 },
      { from: 5, to: 5, value: 0 },
    ]);
    expect(levelsOf({ ...TREND, changes: [] }, RUNS)).toEqual([]);
  });

  it('has a gap at a run that does not count', () => {
    expect(stretchesOf(TREND.values)).toEqual([
      [
        { at: 0, value: 10 },
        { at: 1, value: 10 },
      ],
      [
        { at: 3, value: 20 },
        { at: 4, value: 20 },
        { at: 5, value: 5 },
      ],
    ]);
    expect(stretchesOf([null, null])).toEqual([]);
  });

  it('says how sure a change is', () => {
    const [worse, better] = TREND.changes.map((change) =>
      explainChange(TREND, change).replaceAll('\u00a0', ' '),
    );
    expect(worse).toMatch(/^Worse since run 14 of .*: 10.0 ms → 20.0 ms \(\+100 %, noise ±2.0 %/);
    expect(better).toMatch(/^Better since run 16 .*\(−100 %, p 0.010\)$/);
  });

  it('has runs that ended as their exit code says, whatever their verdict', () => {
    const [run] = RUNS;
    if (run === undefined) throw new Error('there is a run');
    const called = (facts: Partial<typeof run>) => {
      const { word, tone } = outcomeOfListed({ ...run, ...facts });
      return [word, tone];
    };
    expect(called({})).toEqual(['Valid', 'good']);
    expect(called({ breached: true })).toEqual(['Threshold breached', 'bad']);
    expect(called({ opened: 0 })).toEqual(['Nothing opened', 'bad']);
    expect(called({ verdict: 'failed', breached: true })).toEqual(['Failed', 'bad']);
    expect(called({ verdict: 'generator-limited' })).toEqual(['Generator-limited', 'wary']);
    expect(called({ interrupted: true, opened: 0 })).toEqual(['Interrupted', 'wary']);
  });

  it('is written in its unit', () => {
    const units = ['/s', 's', 'B', ''].map((unit) => formatTrend(1_536, unit));
    expect(units.map((text) => text.replaceAll('\u00a0', ' '))).toEqual([
      '1,536 /s',
      '25 min 36 s',
      '1.5 KiB',
      '1,536',
    ]);
    expect(formatTrend(0.12345, '')).toBe('0.1235');
  });
});
