import { readTyped, type TypedKind } from '../../lib/typed-values';
import { EMPTY_PLAN, type FieldName, isAsked, type PlanForm } from './plan-form';
import { settingOf } from './settings';

/** What the generator's table calls a kind, and how it is read. */
const KINDS: Readonly<Partial<Record<string, TypedKind>>> = {
  COUNT: 'count',
  DURATION: 'duration',
  RATE: 'rate',
  SIZE: 'size',
  NUMBER: 'whole',
  'N|auto': 'processes',
};
/** Of a setting that runs of a console have only with a scenario, which is not in that table. */
const MORE_KINDS: Readonly<Partial<Record<FieldName, TypedKind>>> = { arrive: 'rate' };

/**
 * What is wrong with a plan, by field, as far as the page can tell: with a value that is not one of
 * its kind. How large it may be is for the generator to say.
 */
export function checkPlan(form: PlanForm): Partial<Record<FieldName, string>> {
  const found: Partial<Record<FieldName, string>> = {};
  for (const field of Object.keys(EMPTY_PLAN) as FieldName[]) {
    const typed = form[field];
    if (typeof typed !== 'string' || !isAsked(field, form)) continue;
    const problem = problemOf(field, typed);
    if (problem !== null) found[field] = problem;
  }
  return found;
}

function problemOf(field: FieldName, typed: string): string | null {
  const text = typed.trim();
  if (text === '') return field === 'count' ? 'How many?' : null;
  if (field === 'stage') return problemOfStages(typed);
  const kind = MORE_KINDS[field] ?? KINDS[settingOf(field)?.kind ?? ''];
  return kind === undefined ? null : problemOfValue(kind, text);
}

function problemOfStages(typed: string): string | null {
  for (const line of typed.split('\n').map((one) => one.trim())) {
    if (line === '') continue;
    const [duration = '', rate, ...more] = line.split(':');
    if (rate === undefined || more.length > 0) {
      return `‘${line}’ is no stage: write it like 30s:5000/s`;
    }
    const problem = problemOfValue('duration', duration) ?? problemOfValue('rate', rate);
    if (problem !== null) return problem;
  }
  return null;
}

function problemOfValue(kind: TypedKind, text: string): string | null {
  const read = readTyped(kind, text);
  return 'problem' in read ? read.problem : null;
}
