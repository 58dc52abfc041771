import { formatCount, formatDuration, formatRate, formatSize } from '../../lib/figures';
import type { Plan } from './run-report';

/**
 * What a run was to do, in one line: `1,000 sockets · 1 /s each · 10 s`, or, where the users are a
 * scenario's, `1,000 users · chat.py · 10 s`: how often they do something is in its code.
 */
export function describePlan(plan: Plan): string {
  const count = numberOf(plan.count);
  const isScenario = typeof plan.scenario === 'string';
  const arrivals = numberOf(plan.arrive);
  const who = isScenario ? (arrivals === null ? 'users' : 'users at most') : 'sockets';
  const parts = [
    count === null ? 'a run' : `${formatCount(count)} ${who}`,
    isScenario ? textOf(plan.scenario) : describeLoad(plan),
  ];
  if (arrivals !== null) parts.push(`${formatRate(arrivals)} arrive`);
  const duration = numberOf(plan.duration_s);
  if (duration !== null && stagesOf(plan).length === 0) parts.push(formatDuration(duration));
  const size = numberOf(plan.size_bytes);
  if (size !== null) parts.push(formatSize(size));
  return parts.join(' · ');
}

function describeLoad(plan: Plan): string {
  const stages = stagesOf(plan);
  if (stages.length > 0)
    return `${String(stages.length)} ${stages.length === 1 ? 'stage' : 'stages'}`;
  if (plan.closed_loop === true) return 'closed loop';
  const rate = numberOf(plan.rate);
  if (rate !== null) return `${formatRate(rate)} in all`;
  const perSocket = numberOf(plan.rate_per_conn) ?? 1;
  return perSocket === 0 ? 'idle' : `${formatRate(perSocket)} each`;
}

/** For how long the load of a plan goes on; `null` where something else ends it. */
export function loadSecondsOf(plan: Plan): number | null {
  return numberOf(plan.duration_s);
}

/** Every setting of a plan, as name and value; those that say nothing are left out. */
export function planRows(plan: Plan): { name: string; value: string }[] {
  return Object.entries(plan)
    .map(([key, value]) => ({ name: nameOf(key), value: valueOf(key, value) }))
    .filter(({ value }) => value !== '');
}

function nameOf(key: string): string {
  const setting = key.replace(/_(s|bytes)$/, '');
  return NAMES[setting] ?? setting.replaceAll('_', ' ');
}

function valueOf(key: string, value: unknown): string {
  if (value === null || value === false) return '';
  if (value === true) return 'yes';
  if (Array.isArray(value)) return value.map(textOf).join(', ');
  if (typeof value === 'number') {
    if (key.endsWith('_s')) return formatDuration(value);
    if (key.endsWith('_bytes')) return formatSize(value);
    if (key.includes('rate')) return formatRate(value);
    return formatCount(value);
  }
  return textOf(value);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function stagesOf(plan: Plan): unknown[] {
  const stages = plan.stages ?? plan.stage;
  return Array.isArray(stages) ? stages : [];
}

function numberOf(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}

/** What the form calls them; the others are words as they are. */
const NAMES: Readonly<Partial<Record<string, string>>> = {
  count: 'Sockets',
  url: 'Target',
  connect_concurrency: 'Connecting at once',
  connect_rate: 'Connect rate',
  connect_timeout: 'Connect timeout',
  duration: 'Duration',
  rate_per_conn: 'Rate of each socket',
  rate: 'Rate of all sockets',
  stage: 'Stages',
  stages: 'Stages',
  closed_loop: 'Closed loop',
  think: 'Pause after a reply',
  messages: 'Messages each',
  lifetime: 'Lifetime of a socket',
  message: 'Message',
  message_file: 'Messages from a file',
  binary: 'Binary',
  size: 'Size',
  verify: 'Verify',
  expect: 'Expect first',
  ignore: 'Ignore',
  rooms: 'Rooms',
  arrivals: 'Arrivals',
  scenario: 'Scenario',
  arrive: 'Users arrive',
  header: 'Headers',
  headers: 'Headers',
  origin: 'Origin',
  subprotocol: 'Subprotocols',
  subprotocols: 'Subprotocols',
  insecure: 'Any certificate',
  cacert: 'Authorities',
  cert: 'Client certificate',
  key: 'Its key',
  proxy: 'Through a proxy',
  compression: 'Compression',
  source_ip: 'Local addresses',
  behave: 'Misbehaving sockets',
  stop_timeout: 'Stop timeout',
  seed: 'Seed',
  fail_if: 'Fail if',
  workers: 'Processes',
  dask: 'Dask',
};
