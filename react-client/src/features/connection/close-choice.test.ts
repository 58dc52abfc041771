import { expect, it } from 'vitest';

import { readCloseChoice } from './close-choice';

it.each([
  ['1000', '', { code: 1000, reason: '' }],
  [' 3000 ', 'bye', { code: 3000, reason: 'bye' }],
  ['4999', 'é'.repeat(61), { code: 4999 }],
  ['4000', 'x'.repeat(123), { code: 4000 }],
  ['4000', 'half a \ud83d', { reason: 'half a \ufffd' }],
])('%j with the reason %j may be sent', (code, reason, choice) => {
  expect(readCloseChoice(code, reason)).toMatchObject({ ok: true, ...choice });
});

it.each([
  ['1001', ''],
  ['2999', ''],
  ['5000', ''],
  ['1e3', ''],
  ['', ''],
  ['4000', 'x'.repeat(124)],
  ['4000', 'é'.repeat(62)],
])('%j with the reason %j may not', (code, reason) => {
  expect(readCloseChoice(code, reason).ok).toBe(false);
});
