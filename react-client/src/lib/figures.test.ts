import { describe, expect, it } from 'vitest';

import {
  formatBytes,
  formatClock,
  formatCompact,
  formatCount,
  formatDuration,
  formatElapsed,
  formatMilliseconds,
  formatPlural,
  formatRate,
  formatShare,
  formatSize,
  formatTimeOfDay,
} from './figures';

const plain = (text: string) => text.replaceAll('\u00a0', ' ');

describe('formatMilliseconds', () => {
  it.each([
    [null, '–'],
    [0, '< 0.1 ms'],
    [0.1, '0.1 ms'],
    [1.26, '1.3 ms'],
    [99.94, '99.9 ms'],
    [99.96, '100 ms'],
    [1234.5, '1,235 ms'],
  ])('%d is %s', (durationMs, shown) => {
    expect(formatMilliseconds(durationMs).replaceAll('\u00a0', ' ')).toBe(shown);
  });
});

describe('counts', () => {
  it('are grouped by thousands and take the right number', () => {
    expect(formatCount(12_431)).toBe('12,431');
    expect(formatBytes(1)).toBe('1 byte');
    expect(formatBytes(2048)).toBe('2,048 bytes');
    expect(formatPlural(1, 'reply', 'replies')).toBe('1 reply');
    expect(formatPlural(0, 'reply', 'replies')).toBe('0 replies');
  });
});

describe('figures with a unit', () => {
  it.each([
    [formatCompact(999), '999'],
    [formatCompact(12_431), '12.4K'],
    [formatSize(0), '0 B'],
    [formatSize(1023), '1,023 B'],
    [formatSize(1536), '1.5 KiB'],
    [formatSize(3_174_400), '3.0 MiB'],
    [formatSize(200 * 1024 ** 3), '200 GiB'],
    [formatRate(0), '0 /s'],
    [formatRate(5), '5 /s'],
    [formatRate(1.25), '1.3 /s'],
    [formatRate(12_431.4), '12,431 /s'],
    [formatShare(0.012), '1.2 %'],
    [formatShare(1), '100 %'],
    [formatDuration(9.6), '9.6 s'],
    [formatDuration(10), '10 s'],
    [formatDuration(75), '1 min 15 s'],
    [formatDuration(120), '2 min'],
    [formatDuration(3723), '1 h 2 min'],
    [formatDuration(200_000), '2 d 7 h'],
    [formatElapsed(7.04), '7 s'],
    [formatElapsed(65), '1:05'],
    [formatElapsed(3723), '1:02:03'],
    [formatClock(new Date(2026, 0, 2, 3, 4, 5).getTime() / 1000), '03:04:05'],
  ])('%s', (formatted, shown) => {
    expect(plain(formatted)).toBe(shown);
  });
});

describe('formatTimeOfDay', () => {
  it('turns a moment of the page’s clock into local time of day', () => {
    const moment = new Date(2026, 0, 2, 3, 4, 5, 67);
    const atMs = moment.getTime() - performance.timeOrigin;
    // Half a millisecond of slack for the fraction in timeOrigin.
    expect(formatTimeOfDay(atMs + 0.5, 'milliseconds')).toBe('03:04:05.067');
    expect(formatTimeOfDay(atMs + 0.5, 'seconds')).toBe('03:04:05');
  });
});
