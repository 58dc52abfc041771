import { consoleFetch, consoleJson } from '../../lib/console-fetch';
import { type Plan, readReport, type RunReport } from './run-report';

/** What the list of runs says of one. */
export interface RunSummary {
  readonly id: string;
  readonly state: 'running' | 'cancelling' | 'done' | 'failed';
  readonly plan: Plan;
  readonly startedAtMs: number;
  readonly endedAtMs: number | null;
  readonly exitCode: number | null;
  readonly verdict: string | null;
  /** Why there is no report. */
  readonly error: string | null;
  /** What its owner calls it; empty for no name. */
  readonly name: string;
  readonly note: string;
  /** By which it is known after a restart of the server; `null` where it is not kept. */
  readonly kept: string | null;
  /** Whether its load was changed by hand while it went. */
  readonly isChanged: boolean;
  /** Whether its report is there as a page. */
  readonly hasPage: boolean;
}

const JSON_HEADERS = { 'Content-Type': 'application/json' };

/** The runs that the console remembers, newest first. Paths begin with `base`. */
export async function listRuns(base = ''): Promise<RunSummary[]> {
  const answer = await consoleJson(`${base}api/runs`);
  const runs = typeof answer === 'object' && answer !== null && 'runs' in answer ? answer.runs : [];
  return Array.isArray(runs) ? runs.map(readSummary).filter((run) => run !== null) : [];
}

/** The scenarios that a run may have; none where the console knows of no such thing. */
export async function listScenarios(base = ''): Promise<string[]> {
  const answer = await consoleJson(`${base}api/scenarios`);
  const names =
    typeof answer === 'object' && answer !== null && 'scenarios' in answer ? answer.scenarios : [];
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
}

/** Starts a run and returns its id. */
export async function startRun(
  body: Readonly<Record<string, unknown>>,
  base = '',
): Promise<string> {
  const answer = await consoleJson(`${base}api/runs`, {
    method: 'POST',
    headers: JSON_HEADERS,
    body: JSON.stringify(body),
  });
  if (typeof answer === 'object' && answer !== null && 'id' in answer) return String(answer.id);
  throw new TypeError('The console started a run and did not say which.');
}

/** Asks a run to end in good order. */
export async function cancelRun(id: string, base = ''): Promise<void> {
  await consoleFetch(`${base}api/runs/${id}`, { method: 'DELETE', headers: JSON_HEADERS });
}

/** Gives a run another name and another note. */
export async function annotateRun(
  id: string,
  words: { readonly name: string; readonly note: string },
  base = '',
): Promise<void> {
  await consoleFetch(`${base}api/runs/${id}`, {
    method: 'PATCH',
    headers: JSON_HEADERS,
    body: JSON.stringify(words),
  });
}

/** The report of a run that is over; `null` if it left none. */
export async function fetchReport(id: string, base = ''): Promise<RunReport | null> {
  return readReport(await consoleJson(`${base}api/runs/${id}`));
}

export async function fetchReportPage(id: string): Promise<Blob> {
  return (await consoleFetch(`api/runs/${id}/report.html`)).blob();
}

function readSummary(value: unknown): RunSummary | null {
  if (typeof value !== 'object' || value === null) return null;
  const fields = value as Record<string, unknown>;
  const { id, state, plan, started_at, ended_at, exit_code, verdict, error } = fields;
  const { name, note, kept, changes, page } = fields;
  const known = STATES.find((one) => one === state);
  if (typeof id !== 'string' || known === undefined) return null;
  return {
    id,
    state: known,
    plan: typeof plan === 'object' && plan !== null ? (plan as Plan) : {},
    startedAtMs: Date.parse(String(started_at)),
    endedAtMs: typeof ended_at === 'string' ? Date.parse(ended_at) : null,
    exitCode: typeof exit_code === 'number' ? exit_code : null,
    verdict: typeof verdict === 'string' ? verdict : null,
    error: typeof error === 'string' ? error : null,
    name: typeof name === 'string' ? name : '',
    note: typeof note === 'string' ? note : '',
    kept: typeof kept === 'number' ? String(kept) : null,
    isChanged: Array.isArray(changes) && changes.length > 0,
    // A console that does not say so makes one of each.
    hasPage: page !== false,
  };
}

const STATES = ['running', 'cancelling', 'done', 'failed'] as const;
