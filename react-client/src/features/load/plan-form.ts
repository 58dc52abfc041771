/** What drives the messages: exactly one of these. */
export type Drive = 'per-socket' | 'total' | 'stages' | 'closed-loop' | 'idle';

/** What stands in the form, as typed. */
export interface PlanForm {
  /** Of the run, in the list and in the history. */
  readonly name: string;
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
  /** Of those that the console may run; empty: none. */
  readonly scenario: string;
  /** Users a second, of a scenario whose users come and leave. */
  readonly arrive: string;
  readonly verify: 'suffix' | 'exact' | 'json' | 'regex' | 'turn' | 'fan-out' | 'off';
  /** Where a message and its reply have equal values: `id`, or `id=replyTo`. */
  readonly json_path: string;
  /** Of which the first group, or all of it, is the same in both. */
  readonly pattern: string;
  readonly rooms: string;
  /** What the server says by itself after the handshake: one a line, like `json:type=hello`. */
  readonly expect: string;
  /** Frames that are no replies, one pattern a line. */
  readonly ignore: string;
  readonly arrivals: 'even' | 'poisson';
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
  name: '',
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
  scenario: '',
  arrive: '',
  verify: 'suffix',
  json_path: 'id',
  pattern: '',
  rooms: '',
  expect: '',
  ignore: '',
  arrivals: 'even',
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

/** Those that go along with one way of finding replies, and with no other. */
const VERIFIED_BY: Readonly<Partial<Record<FieldName, PlanForm['verify']>>> = {
  json_path: 'json',
  pattern: 'regex',
  rooms: 'fan-out',
};

/** What a scenario says itself. */
const SAID_BY_SCENARIO: readonly FieldName[] = [
  ...(['drive', 'rate_per_conn', 'rate', 'stage', 'think', 'messages', 'message', 'size'] as const),
  ...(['binary', 'verify', 'json_path', 'pattern', 'rooms', 'expect', 'ignore'] as const),
  ...(['lifetime', 'arrivals'] as const),
];

/** Whether a form in this state has a use for a setting. */
export function isAsked(field: FieldName, { drive, verify, scenario }: PlanForm): boolean {
  if (field === 'arrive') return scenario !== '';
  if (scenario !== '') return !SAID_BY_SCENARIO.includes(field);
  // The stages say themselves how long they take.
  if (field === 'duration') return drive !== 'stages';
  // In a closed loop nothing falls due, and idle sockets send nothing.
  if (field === 'arrivals') return drive !== 'closed-loop' && drive !== 'idle';
  return (DRIVEN_BY[field] ?? drive) === drive && (VERIFIED_BY[field] ?? verify) === verify;
}

/** The settings of one line each, several of them. */
const SEVERAL: readonly FieldName[] = ['stage', 'fail_if', 'expect', 'ignore'];
/** What the generator has no setting for by itself. */
const PARTS_OF_OTHERS: readonly FieldName[] = ['drive', 'json_path', 'pattern'];
/** Left out where they say what is so without them. */
const DEFAULTS: Readonly<Partial<PlanForm>> = { arrivals: 'even' };

/** The settings as the console takes them: what was left empty is left to the generator. */
export function toBody(form: PlanForm): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(form) as [FieldName, string | boolean][]) {
    if (PARTS_OF_OTHERS.includes(key) || !isAsked(key, form)) continue;
    if (DEFAULTS[key] === value) continue;
    const setting = typeof value === 'boolean' ? value : settingOf(key, value);
    if (setting !== null && setting !== false) body[key] = setting;
  }
  if (form.scenario !== '') return body;
  if (form.verify === 'json') body.verify = `json:${form.json_path.trim()}`;
  if (form.verify === 'regex') body.verify = `regex:${form.pattern}`;
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
export function fieldOf(
  setting: string | null,
  verify: PlanForm['verify'] = 'suffix',
): FieldName | null {
  if (setting === null) return null;
  const name = setting
    .replace(/^-+/, '')
    .replaceAll('-', '_')
    .replace(/_(s|bytes)$/, '')
    .toLowerCase();
  if (name === 'closed_loop') return 'drive';
  if (name === 'verify' && verify === 'json') return 'json_path';
  if (name === 'verify' && verify === 'regex') return 'pattern';
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
  verify: ['suffix', 'exact', 'json', 'regex', 'turn', 'fan-out', 'off'],
  arrivals: ['even', 'poisson'],
};
