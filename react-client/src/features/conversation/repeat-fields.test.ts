import { expect, it } from 'vitest';

import { readRepeat } from './repeat-fields';

it.each([
  ['10 a second', { amount: '10', unit: 'rate', times: '' }, { intervalMs: 100, count: null }],
  ['250 ms apart', { amount: '250', unit: 'interval', times: '4' }, { intervalMs: 250, count: 4 }],
  ['half a one', { amount: '0,5', unit: 'rate', times: ' 2 ' }, { intervalMs: 2_000, count: 2 }],
] as const)('reads %s', (_, fields, reading) => {
  expect(readRepeat(fields)).toEqual({ ok: true, ...reading });
});

it.each([
  ['', ''],
  ['0', ''],
  ['fast', ''],
  ['20000', ''],
  ['0.0001', ''],
  ['10', '0'],
  ['10', '1.5'],
])('refuses %j a second, %j times', (amount, times) => {
  expect(readRepeat({ amount, unit: 'rate', times })).toMatchObject({ ok: false });
});
