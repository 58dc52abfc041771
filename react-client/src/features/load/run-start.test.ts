import { expect, it } from 'vitest';

import { formatStart } from './run-start';

const at = (...when: [number, number, number, number, number, number]) =>
  new Date(...when).getTime();

it.each([
  [at(2026, 10, 30, 0, 0, 0), '00:00:00'],
  [at(2026, 10, 30, 23, 59, 59), '23:59:59'],
  [at(2026, 10, 29, 23, 59, 59), 'Nov 29, 23:59'],
  [at(2026, 0, 2, 3, 4, 5), 'Jan 2, 03:04'],
  // The same day of another year is not today.
  [at(2025, 10, 30, 3, 4, 5), 'Nov 30, 2025, 03:04'],
  // What the console did not say is no reason to show nothing at all.
  [Number.NaN, '–'],
])('a run of %d is told with its day unless that is today', (startedAtMs, told) => {
  expect(formatStart(startedAtMs, at(2026, 10, 30, 12, 0, 0))).toBe(told);
});
