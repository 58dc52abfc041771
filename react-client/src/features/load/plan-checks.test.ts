import { describe, expect, it } from 'vitest';

import { checkPlan } from './plan-checks';
import { EMPTY_PLAN, type PlanForm } from './plan-form';

const check = (rest: Partial<PlanForm>) => checkPlan({ ...EMPTY_PLAN, ...rest });

describe('a plan', () => {
  it('as it stands in an empty form is good, however it is driven', () => {
    for (const drive of ['per-socket', 'total', 'stages', 'closed-loop', 'idle'] as const) {
      expect(check({ drive })).toEqual({});
    }
  });

  it.each<[keyof PlanForm, string, string]>([
    ['count', ' ', 'How many?'],
    ['count', '1.5', '‘1.5’ is not a count'],
    ['duration', '10', '‘10’ is not a duration'],
    ['rate_per_conn', '5', '‘5’ is not a rate'],
    ['size', '1KB', '‘1KB’ is not a size'],
    ['seed', '1e3', '‘1e3’ is not a whole number'],
    ['workers', 'all', '‘all’ is neither auto nor a number'],
    ['connect_rate', 'fast', '‘fast’ is not a rate'],
    ['connect_concurrency', '-1', '‘-1’ is not a count'],
    ['lifetime', '1 s', '‘1 s’ is not a duration'],
  ])('says of %s that %j is wrong', (field, typed, said) => {
    const found = check({ [field]: typed });
    expect(Object.keys(found)).toEqual([field]);
    expect(found[field]).toContain(said);
  });

  it.each([
    ['30s:5000/s\n\n 10s:0/s ', null],
    ['30s', '‘30s’ is no stage'],
    ['30s:5/s:1', 'is no stage'],
    ['30:5/s', '‘30’ is not a duration'],
    ['1s:1/s\n30s:5', '‘5’ is not a rate'],
  ])('looks at each stage of %j', (stage, said) => {
    const found = check({ drive: 'stages', stage }).stage;
    if (said === null) expect(found).toBeUndefined();
    else expect(found).toContain(said);
  });

  it('is not wrong for what is not asked, nor for what only the generator can read', () => {
    expect(check({ drive: 'idle', rate_per_conn: 'x', rate: 'x', think: 'x' })).toEqual({});
    expect(check({ fail_if: 'x', message: '{x', url: 'x', expect: 'x' })).toEqual({});
    expect(check({ arrive: 'x' })).toEqual({});
    expect(check({ scenario: 'chat.py', arrive: 'x', size: 'x' })).toHaveProperty('arrive');
  });

  it('leaves to the generator what is empty', () => {
    expect(check({ duration: '', size: ' ', workers: '' })).toEqual({});
  });
});
