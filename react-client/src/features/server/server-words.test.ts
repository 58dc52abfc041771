import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

import { outcomeWords, reasonWords } from './server-words';

const PACKAGE = new URL('../../../../echo_trio/', import.meta.url);

/** The values of an enum of the server. */
function valuesOf(file: string, name: string): string[] {
  const source = readFileSync(new URL(file, PACKAGE), 'utf8');
  const [, body = ''] =
    new RegExp(`^class ${name}\\(StrEnum\\):\n((?:    .*\n|\n)+)`, 'm').exec(source) ?? [];
  return [...body.matchAll(/^ {4}[A-Z_]+ = "(\w+)"$/gm)].map(([, value = '']) => value);
}

it('has words for every way in which the server says that connections end', () => {
  const outcomes = valuesOf('metrics/counters.py', 'Outcome');
  expect(outcomes).toContain('clean');
  for (const outcome of outcomes) expect(outcomeWords(outcome).meaning, outcome).toBeDefined();
});

it('has words for every reason for which the server refuses', () => {
  const reasons = valuesOf('wire/handshake.py', 'Reason');
  expect(reasons.length).toBeGreaterThan(20);
  for (const reason of reasons) expect(reasonWords(reason), reason).toMatch(/^[A-Z]/);
});

it('shows what a newer server says as it is said', () => {
  expect(outcomeWords('turned_to_stone')).toEqual({ name: 'turned to stone' });
  expect(reasonWords('bad_hair')).toBe('bad hair');
});
