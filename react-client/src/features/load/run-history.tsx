import { useState } from 'react';

import { describePlan } from './plan-text';
import { outcomeOfExit, type RunOutcome } from './run-outcome';
import styles from './run-history.module.css';
import { formatStart } from './run-start';
import type { RunSummary } from './runs-client';

interface RunHistoryProps {
  runs: readonly RunSummary[];
  shownId: string | null;
  onShow: (id: string) => void;
}

/** The newest, which are listed before one asks for all: they leave room for what is below. */
const NEWEST = 5;

/** The runs that the console remembers. */
export function RunHistory({ runs, shownId, onShow }: RunHistoryProps) {
  const [isWhole, setIsWhole] = useState(false);
  // The one that is looked at is in sight, however old.
  const listed = isWhole ? runs : runs.filter(({ id }, at) => at < NEWEST || id === shownId);
  const left = runs.length - listed.length;
  return (
    <section className={styles.history} aria-labelledby="history">
      <h2 id="history" className={styles.title}>
        Runs
      </h2>
      {runs.length === 0 ? (
        <p className={styles.empty}>None yet. The console remembers the last twenty.</p>
      ) : (
        <ol id="runs" className={styles.list}>
          {listed.map((run) => (
            <li key={run.id}>
              <button
                type="button"
                className={styles.run}
                aria-current={run.id === shownId}
                onClick={() => {
                  onShow(run.id);
                }}
              >
                <span className={styles.what} title={run.name || describePlan(run.plan)}>
                  {run.name === '' ? describePlan(run.plan) : <bdi>{run.name}</bdi>}
                </span>
                <Outcome run={run} />
                <span className={styles.when}>{formatStart(run.startedAtMs)}</span>
              </button>
            </li>
          ))}
        </ol>
      )}
      {(isWhole ? runs.length > NEWEST : left > 0) && (
        <button
          type="button"
          className={styles.more}
          aria-expanded={isWhole}
          aria-controls="runs"
          onClick={() => setIsWhole(!isWhole)}
        >
          {isWhole ? 'Show fewer' : `Show ${String(left)} more`}
        </button>
      )}
    </section>
  );
}

/** How it ended, or how it stands. */
function Outcome({ run }: { run: RunSummary }) {
  const { word, tone } = standingOf(run);
  return (
    <span className={styles.outcome}>
      <span data-tone={tone}>{word}</span>
      {run.isChanged && ' · changed by hand'}
    </span>
  );
}

/** In the word and colour of its exit code; of a run that is not over, its state. */
function standingOf({ state, exitCode, verdict }: RunSummary): Pick<RunOutcome, 'word' | 'tone'> {
  switch (state) {
    case 'running':
      return { word: 'Running', tone: 'wary' };
    case 'cancelling':
      return { word: 'Cancelling', tone: 'wary' };
    case 'failed':
      return { word: 'No report', tone: 'bad' };
    case 'done':
      return (
        (exitCode === null ? null : outcomeOfExit(exitCode)) ?? {
          word: verdict ?? 'Over',
          tone: 'wary',
        }
      );
  }
}
