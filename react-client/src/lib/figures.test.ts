import { describe, expect, it } from 'vitest';

import {
  formatBytes,
  formatCount,
  formatMilliseconds,
  formatPlural,
  formatTimeOfDay,
} from './figures';

describe('formatMilliseconds', () => {
  it.each([
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

describe('formatTimeOfDay', () => {
  it('turns a moment of the page’s clock into local time of day', () => {
    const moment = new Date(2026, 0, 2, 3, 4, 5, 67);
    const atMs = moment.getTime() - performance.timeOrigin;
    // Half a millisecond of slack for the fraction in timeOrigin.
    expect(formatTimeOfDay(atMs + 0.5, 'milliseconds')).toBe('03:04:05.067');
    expect(formatTimeOfDay(atMs + 0.5, 'seconds')).toBe('03:04:05');
  });
});
