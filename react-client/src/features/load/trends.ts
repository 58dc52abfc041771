import { consoleJson } from '../../lib/console-fetch';
import {
  formatCount,
  formatDuration,
  formatMilliseconds,
  formatRate,
  formatShare,
  formatSize,
} from '../../lib/figures';
import { endingsBy, outcomeOf, type RunOutcome } from './run-outcome';

/*
 * How the runs of one name went over time, in the words of `loadgen history FILE --json -`, which
 * finds the changes.
 */

/** Runs of one name and one plan, in the order in which they started. */
export interface TrendLine {
  readonly name: string;
  /** The settings by which its plan differs from the line before of the same name. */
  readonly different: readonly string[];
  readonly runs: readonly TrendRun[];
  readonly trends: readonly Trend[];
}

export interface TrendRun {
  /** Its number in the history. */
  readonly id: number;
  readonly started_at: string;
  readonly verdict: string;
  readonly interrupted: boolean;
  /** The sockets that opened. */
  readonly opened: number;
  /** Whether a limit that was set for it did not hold. */
  readonly breached: boolean;
  /** Of its load by hand; a history of an older version does not say. */
  readonly changes?: readonly unknown[];
  /** Whether changes are looked for in it: not in figures that are not those of its plan. */
  readonly counted: boolean;
}

/** One figure over the runs of a line. */
export interface Trend {
  readonly name: string;
  readonly unit: string;
  /** One for each run; `null` where it was not measured, or the run is not counted. */
  readonly values: readonly (number | null)[];
  readonly changes: readonly TrendChange[];
  /** The standard deviation on the present level, as a share of it; `null` for too few runs. */
  readonly noise: number | null;
}

/** From this run on a figure is on another level; shares are of the level before. */
export interface TrendChange {
  readonly run: number;
  readonly started_at: string;
  readonly before: number;
  readonly after: number;
  readonly change: number | null;
  readonly noise: number | null;
  readonly p: number;
  readonly call: 'better' | 'worse';
}

/** The fewest runs in which `loadgen history` looks for a change. */
export const FEWEST_RUNS = 10;

/**
 * Ask the console how the runs of this one's name went.
 *
 * @throws ConsoleProblem if it does not keep runs, a run goes on, or they can't be read.
 */
export async function fetchTrends(
  id: string,
  signal?: AbortSignal,
  base = '',
): Promise<readonly TrendLine[]> {
  const answer = await consoleJson(`${base}api/runs/${id}/trends`, signal ? { signal } : {});
  const lines = typeof answer === 'object' && answer !== null && 'lines' in answer && answer.lines;
  return Array.isArray(lines) ? (lines as TrendLine[]) : [];
}

const PLAIN = new Intl.NumberFormat('en', { maximumSignificantDigits: 4 });

/** Write a figure with its unit, as the generator calls it. */
export function formatTrend(value: number, unit: string): string {
  switch (unit) {
    case 'ms':
      return formatMilliseconds(value);
    case '/s':
      return formatRate(value);
    case 's':
      return formatDuration(value);
    case 'B':
      return formatSize(value);
    default:
      return Number.isInteger(value) ? formatCount(value) : PLAIN.format(value);
  }
}

/** How a run ended, in the word and colour of its exit code. */
export function outcomeOfListed(run: TrendRun): RunOutcome {
  return outcomeOf(endingsBy(run)[0]);
}

const WHEN = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' });

export function formatWhen(startedAt: string): string {
  return WHEN.format(new Date(startedAt));
}

/** Say what changed, since when, and how sure that is. */
export function explainChange({ unit }: Trend, change: TrendChange): string {
  const { before, after, noise, p } = change;
  const sign = (change.change ?? 0) < 0 ? '−' : '+';
  const sure = [
    ...(change.change === null ? [] : [`${sign}${formatShare(Math.abs(change.change))}`]),
    ...(noise === null ? [] : [`noise ±${formatShare(noise)}`]),
    `p ${p.toFixed(3)}`,
  ];
  const word = change.call === 'worse' ? 'Worse' : 'Better';
  return (
    `${word} since run ${String(change.run)} of ${formatWhen(change.started_at)}: ` +
    `${formatTrend(before, unit)} → ${formatTrend(after, unit)} (${sure.join(', ')})`
  );
}

/** The level of a figure from one run to another, by their places in the line. */
export interface TrendLevel {
  readonly from: number;
  readonly to: number;
  readonly value: number;
}

/** The levels between the changes; none where nothing has changed. */
export function levelsOf({ changes }: Trend, runs: readonly TrendRun[]): TrendLevel[] {
  const starts = changes.map(({ run }) => runs.findIndex(({ id }) => id === run));
  const [first] = changes;
  if (first === undefined) return [];
  const values = [first.before, ...changes.map(({ after }) => after)];
  const edges = [0, ...starts, runs.length];
  return values.map((value, level) => ({
    from: edges[level] ?? 0,
    to: (edges[level + 1] ?? runs.length) - 1,
    value,
  }));
}

/** Stretches of neighbouring runs that have a figure: between them a line has a gap. */
export function stretchesOf(values: readonly (number | null)[]): { at: number; value: number }[][] {
  const stretches: { at: number; value: number }[][] = [];
  let open: { at: number; value: number }[] | null = null;
  for (const [at, value] of values.entries()) {
    if (value === null) {
      open = null;
      continue;
    }
    if (open === null) stretches.push((open = []));
    open.push({ at, value });
  }
  return stretches;
}
