import { EMPTY_PLAN, type FieldName, type PlanForm } from './plan-form';
import type { Plan } from './run-report';
import { settingOf } from './settings';

/** The settings of a run, by the names of flags, as texts that the generator reads again. */
export type Settings = Readonly<Record<string, string | boolean | readonly string[]>>;

/**
 * Writes the plan of a report as the settings that make such a run; what says what is so without it
 * is left out. Secrets are masked in a report, and stay so.
 *
 * @param failIf the limits of the run, which a plan has not.
 */
export function settingsOfPlan(plan: Plan, failIf: readonly string[] = []): Settings {
  const found: Record<string, string | boolean | readonly string[]> = {
    count: String(numberOf(plan.count) ?? ''),
    url: textOf(plan.url),
  };
  const stages = recordsOf(plan.stages);
  const drive = driveOf(plan, stages);
  const written: [FieldName | OtherSetting, string][] = [
    ['connect_concurrency', count(plan.connect_concurrency)],
    ['connect_rate', rate(plan.connect_rate)],
    ['connect_timeout', seconds(plan.connect_timeout_s)],
    ['messages', count(plan.messages)],
    ['lifetime', seconds(plan.lifetime_s)],
    ['message', textOf(plan.message)],
    ['size', count(plan.size_bytes)],
    ['verify', textOf(plan.verify)],
    ['rooms', count(plan.rooms)],
    ['arrivals', textOf(plan.arrivals)],
    ['origin', textOf(plan.origin)],
    ['scenario', textOf(plan.scenario)],
    ['arrive', rate(plan.arrive)],
    ['stop_timeout', seconds(plan.stop_timeout_s)],
    ['seed', count(plan.seed)],
    ['workers', count(plan.workers)],
  ];
  const isScenario = textOf(plan.scenario) !== '';
  for (const [name, text] of written) {
    const isNeeded = text !== '' && text !== settingOf(name as FieldName)?.default;
    // A scenario says itself what it sends, and how replies are found.
    if (isNeeded && !(isScenario && name === 'message')) found[name] = text;
  }
  if (!isScenario) Object.assign(found, drive);
  if (stages.length === 0 && seconds(plan.duration_s) !== '') {
    found.duration = seconds(plan.duration_s);
  }
  for (const name of ['binary', 'insecure', 'compression'] as const) {
    if (plan[name] === true) found[name] = true;
  }
  const several: Readonly<Record<string, readonly string[]>> = {
    expect: textsOf(plan.expect),
    ignore: textsOf(plan.ignore),
    header: pairsOf(plan.headers).map(([name, value]) => `${name}: ${value}`),
    subprotocol: textsOf(plan.subprotocols),
    source_ip: textsOf(plan.source_ips),
    fail_if: failIf,
  };
  for (const [name, texts] of Object.entries(several)) if (texts.length > 0) found[name] = texts;
  return found;
}

type OtherSetting = 'origin';

function driveOf(plan: Plan, stages: readonly Readonly<Record<string, unknown>>[]): Settings {
  if (stages.length > 0) {
    return {
      stage: stages.map((stage) => `${seconds(stage.duration_s)}:${rate(stage.rate_per_s)}`),
    };
  }
  if (plan.closed_loop === true) return { closed_loop: true, think: seconds(plan.think_s) };
  const total = rate(plan.rate);
  return total === '' ? { rate_per_conn: rate(plan.rate_per_conn) } : { rate: total };
}

/** A form that plans the same run, and the settings for which it has no field. */
export interface FilledForm {
  readonly form: PlanForm;
  readonly left: readonly string[];
}

/** Fills the form with the settings of a run. */
export function formOfSettings(settings: Settings, ownUrl: string | null): FilledForm {
  const form: Record<string, string | boolean> = { ...EMPTY_PLAN, duration: '' };
  const left: string[] = [];
  for (const [name, value] of Object.entries(settings)) {
    const text = typeof value === 'object' ? value.join('\n') : value;
    if (name === 'closed_loop') form.drive = 'closed-loop';
    else if (name === 'verify') Object.assign(form, verifyOf(String(text)));
    else if (name === 'url') form.url = text === ownUrl ? '' : text;
    else if (name in EMPTY_PLAN) form[name] = text;
    else left.push(name);
    if (name === 'stage') form.drive = 'stages';
    if (name === 'rate') form.drive = 'total';
    if (name === 'rate_per_conn') form.drive = text === '0/s' ? 'idle' : 'per-socket';
  }
  return { form: form as unknown as PlanForm, left };
}

function verifyOf(rule: string): Partial<PlanForm> {
  const [kind = '', ...rest] = rule.split(':');
  if (kind === 'json') return { verify: 'json', json_path: rest.join(':') };
  if (kind === 'regex') return { verify: 'regex', pattern: rest.join(':') };
  return { verify: kind as PlanForm['verify'] };
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

function count(value: unknown): string {
  return numberOf(value) === null ? '' : String(value);
}

function seconds(value: unknown): string {
  return numberOf(value) === null ? '' : `${decimal(Number(value))}s`;
}

function rate(value: unknown): string {
  return numberOf(value) === null ? '' : `${decimal(Number(value))}/s`;
}

/** Without an exponent, which no setting may have. */
function decimal(value: number): string {
  const text = String(value);
  return text.includes('e') ? value.toFixed(12).replace(/\.?0+$/, '') : text;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
}

function recordsOf(value: unknown): Readonly<Record<string, unknown>>[] {
  if (!Array.isArray(value)) return [];
  return value.filter(
    (one): one is Readonly<Record<string, unknown>> => typeof one === 'object' && one !== null,
  );
}

function pairsOf(value: unknown): [string, string][] {
  if (!Array.isArray(value)) return [];
  return value.filter(
    (one): one is [string, string] =>
      Array.isArray(one) && one.length === 2 && one.every((part) => typeof part === 'string'),
  );
}
