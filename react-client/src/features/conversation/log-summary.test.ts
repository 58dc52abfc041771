import { expect, it } from 'vitest';

import type { Entry } from './conversation';
import { logSummary } from './log-summary';
import { textPayload } from './payload';

const sent: Entry<string> = {
  kind: 'sent',
  id: 3,
  atMs: 0,
  characters: 1,
  number: 1,
  payload: textPayload('a'),
  fate: 'waiting',
};
const entries = (from: number, count: number): Entry<string>[] =>
  Array.from({ length: count }, (_, index) => ({
    kind: 'notice',
    id: from + index,
    atMs: 0,
    characters: 0,
    notice: '',
  }));

it.each([
  ['1 entry', { live: entries(0, 1) }],
  ['Showing the last 3; 12,431 dropped', { live: entries(12_431, 3), dropped: 12_431 }],
  ['3 entries · 1,204 new while paused', { held: entries(0, 3), live: entries(0, 1_207) }],
  ['0 of 1 messages pass', { live: [...entries(0, 3), sent], passing: entries(0, 3) }],
  ['1 of 1 messages pass', { live: [...entries(0, 3), sent], passing: [...entries(0, 3), sent] }],
])('says "%s"', (summary, log) => {
  expect(logSummary({ held: null, dropped: 0, passing: null, ...log })).toBe(summary);
});
