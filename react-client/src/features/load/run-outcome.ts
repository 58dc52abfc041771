import type { RunReport } from './run-report';

/** How a run ended: one for each exit code of the generator that leaves a report. */
export type Ending =
  | 'valid'
  | 'interrupted'
  | 'nothing-opened'
  | 'failed'
  | 'generator-limited'
  | 'threshold-breached';

export interface RunOutcome {
  readonly ending: Ending;
  /** For a heading or a list. */
  readonly word: string;
  readonly meaning: string;
  readonly tone: 'good' | 'wary' | 'bad';
}

const OUTCOMES: Readonly<Record<Ending, Omit<RunOutcome, 'ending'>>> = {
  valid: {
    word: 'Valid',
    meaning: 'Every socket and message is accounted for, and the generator kept up.',
    tone: 'good',
  },
  interrupted: {
    word: 'Interrupted',
    meaning: 'The run was ended before its plan was carried out; the figures are of what had run.',
    tone: 'wary',
  },
  'nothing-opened': {
    word: 'Nothing opened',
    meaning: 'No socket could be opened, so nothing was measured.',
    tone: 'bad',
  },
  failed: { word: 'Failed', meaning: 'Sockets or messages went missing.', tone: 'bad' },
  'generator-limited': {
    word: 'Generator-limited',
    meaning: 'The generator, not the server, set these numbers.',
    tone: 'wary',
  },
  'threshold-breached': {
    word: 'Threshold breached',
    meaning: 'Every socket and message is accounted for, but a limit that was set does not hold.',
    tone: 'bad',
  },
};

/** The exit codes of `python -m loadgen`, as docs/reference/loadgen.md lists them. */
const BY_EXIT_CODE: Readonly<Record<number, Ending>> = {
  0: 'valid',
  130: 'interrupted',
  69: 'nothing-opened',
  1: 'failed',
  3: 'generator-limited',
  99: 'threshold-breached',
};

export function outcomeOf(ending: Ending): RunOutcome {
  return { ending, ...OUTCOMES[ending] };
}

/** What decides how a run ended. */
interface EndingFacts {
  readonly interrupted: boolean;
  readonly opened: number;
  readonly verdict: string;
  readonly breached: boolean;
}

/** Every ending that holds for a run, in the order in which they decide its exit code. */
export function endingsBy({
  interrupted,
  opened,
  verdict,
  breached,
}: EndingFacts): [Ending, ...Ending[]] {
  const found: Ending[] = [];
  if (interrupted) found.push('interrupted');
  if (opened === 0) found.push('nothing-opened');
  if (verdict === 'failed' || verdict === 'generator-limited') found.push(verdict);
  if (breached) found.push('threshold-breached');
  const [first = 'valid', ...rest] = found;
  return [first, ...rest];
}

/** The same from a report. */
export function endingsOf(report: RunReport): [Ending, ...Ending[]] {
  const { interrupted, connections, verdict, thresholds } = report;
  const breached = thresholds.some((threshold) => threshold.breached);
  return endingsBy({ interrupted, opened: connections.opened, verdict, breached });
}

/** How a run that left a report ended, by its exit code; `null` for one that is not known here. */
export function outcomeOfExit(exitCode: number): RunOutcome | null {
  const ending = BY_EXIT_CODE[exitCode];
  return ending === undefined ? null : outcomeOf(ending);
}

/** The same from the report alone. */
export function outcomeOfReport(report: RunReport): RunOutcome {
  return outcomeOf(endingsOf(report)[0]);
}
