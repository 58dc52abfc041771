import { expect, it } from 'vitest';

import { EMPTY_PLAN, type FieldName } from './plan-form';
import { hintOf, settingOf } from './settings';

/** Several settings, parts of one, and those that a run has only where the server allows it. */
const OTHERS: readonly FieldName[] = [
  ...(['drive', 'json_path', 'pattern', 'scenario', 'arrive'] as const),
  // What the console takes, not the generator's plan.
  'name',
];
const FIELDS = (Object.keys(EMPTY_PLAN) as FieldName[]).filter((field) => !OTHERS.includes(field));

it.each(FIELDS)('the table of settings explains %s', (field) => {
  expect(settingOf(field)?.help).toMatch(/\.$/);
});

it('says how a value is written where that is not plain', () => {
  expect(hintOf('duration')).toBe('such as 30s');
  expect(hintOf('size')).toBe('such as 1KiB');
  expect(hintOf('seed')).toBeUndefined();
});

it('begins with defaults that the generator has, too', () => {
  expect(EMPTY_PLAN.duration).toBe(settingOf('duration')?.default);
  expect(EMPTY_PLAN.rate_per_conn).toBe(settingOf('rate_per_conn')?.default);
  expect(EMPTY_PLAN.verify).toBe(settingOf('verify')?.default);
  expect(EMPTY_PLAN.think).toBe(settingOf('think')?.default);
});
