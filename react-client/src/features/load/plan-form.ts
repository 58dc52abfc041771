/** What drives the messages: exactly one of these. */
export type Drive = 'per-socket' | 'total' | 'stages' | 'closed-loop' | 'idle';

/** What stands in the form, as typed. */
export interface PlanForm {
  readonly count: string;
  /** Empty: the server whose console this is. */
  readonly url: string;
  readonly drive: Drive;
  readonly rate_per_conn: string;
  readonly rate: string;
  /** One a line, like `30s:5000/s`. */
  readonly stage: string;
  readonly think: string;
  readonly duration: string;
  readonly messages: string;
  readonly message: string;
  readonly size: string;
  readonly binary: boolean;
  readonly verify: 'suffix' | 'exact' | 'off';
  readonly compression: boolean;
  /** One a line, like `latency.p99>50ms`. */
  readonly fail_if: string;
  readonly connect_concurrency: string;
  readonly connect_rate: string;
  readonly connect_timeout: string;
  readonly lifetime: string;
  readonly stop_timeout: string;
  readonly workers: string;
  readonly seed: string;
}

export type FieldName = keyof PlanForm;

export const EMPTY_PLAN: PlanForm = {
  count: '1000',
  url: '',
  drive: 'per-socket',
  rate_per_conn: '1/s',
  rate: '1000/s',
  stage: '10s:500/s\n20s:2000/s',
  think: '0s',
  duration: '10s',
  messages: '',
  message: '',
  size: '',
  binary: false,
  verify: 'suffix',
  compression: false,
  fail_if: '',
  connect_concurrency: '',
  connect_rate: '',
  connect_timeout: '',
  lifetime: '',
  stop_timeout: '',
  workers: '',
  seed: '',
};

/** Those that go along with one way of driving, and with no other. */
const DRIVEN_BY: Readonly<Partial<Record<FieldName, Drive>>> = {
  rate_per_conn: 'per-socket',
  rate: 'total',
  stage: 'stages',
  think: 'closed-loop',
};

/** Whether a form that drives the messages so has a use for this setting. */
export function isAsked(field: FieldName, drive: Drive): boolean {
  // The stages say themselves how long they take.
  if (field === 'duration') return drive !== 'stages';
  return (DRIVEN_BY[field] ?? drive) === drive;
}

/** The settings of one line each, several of them. */
const SEVERAL: readonly FieldName[] = ['stage', 'fail_if'];

/** The settings as the console takes them: what was left empty is left to the generator. */
export function toBody(form: PlanForm): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(form) as [FieldName, string | boolean][]) {
    if (key === 'drive' || !isAsked(key, form.drive)) continue;
    const setting = typeof value === 'boolean' ? value : settingOf(key, value);
    if (setting !== null && setting !== false) body[key] = setting;
  }
  if (form.drive === 'closed-loop') body.closed_loop = true;
  if (form.drive === 'idle') body.rate_per_conn = '0/s';
  return body;
}

function settingOf(key: FieldName, typed: string): string | string[] | null {
  if (SEVERAL.includes(key)) {
    const lines = typed.split('\n').filter((line) => line.trim() !== '');
    return lines.length === 0 ? null : lines.map((line) => line.trim());
  }
  // A message may be meant to begin or end with spaces.
  const text = key === 'message' ? typed : typed.trim();
  return text === '' ? null : text;
}

/** The field at which to show what the console says of a setting. */
export function fieldOf(setting: string | null): FieldName | null {
  if (setting === null) return null;
  const name = setting
    .replace(/^-+/, '')
    .replaceAll('-', '_')
    .replace(/_(s|bytes)$/, '')
    .toLowerCase();
  if (name === 'closed_loop') return 'drive';
  return (Object.keys(EMPTY_PLAN) as FieldName[]).find((field) => field === name) ?? null;
}

/** For a link: what differs from an empty form. */
export function toSettings(form: PlanForm): URLSearchParams {
  const settings = new URLSearchParams();
  for (const [key, value] of Object.entries(form) as [FieldName, string | boolean][]) {
    if (value !== EMPTY_PLAN[key]) settings.set(key, String(value));
  }
  return settings;
}

/** What a link, or what was remembered, says; unknown and impossible settings are passed over. */
export function fromSettings(settings: URLSearchParams): PlanForm {
  const form: Record<string, string | boolean> = { ...EMPTY_PLAN };
  for (const [key, value] of settings) {
    const empty = form[key];
    const choices = CHOICES[key];
    if (typeof empty === 'boolean') form[key] = value === 'true';
    else if (empty !== undefined && (choices?.includes(value) ?? true)) form[key] = value;
  }
  return form as unknown as PlanForm;
}

const CHOICES: Readonly<Record<string, readonly string[]>> = {
  drive: ['per-socket', 'total', 'stages', 'closed-loop', 'idle'],
  verify: ['suffix', 'exact', 'off'],
};
