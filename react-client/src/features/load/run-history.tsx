import { formatClock } from '../../lib/figures';
import { describePlan } from './plan-text';
import { outcomeOfExit, type RunOutcome } from './run-outcome';
import styles from './run-history.module.css';
import type { RunSummary } from './runs-client';

interface RunHistoryProps {
  runs: readonly RunSummary[];
  shownId: string | null;
  onShow: (id: string) => void;
}

/** The runs that the console remembers. */
export function RunHistory({ runs, shownId, onShow }: RunHistoryProps) {
  return (
    <section className={styles.history} aria-labelledby="history">
      <h2 id="history" className={styles.title}>
        Runs
      </h2>
      {runs.length === 0 ? (
        <p className={styles.empty}>None yet. The console remembers the last twenty.</p>
      ) : (
        <ol className={styles.list}>
          {runs.map((run) => (
            <li key={run.id}>
              <button
                type="button"
                className={styles.run}
                aria-current={run.id === shownId}
                onClick={() => {
                  onShow(run.id);
                }}
              >
                <span className={styles.when}>{formatClock(run.startedAtMs / 1000)}</span>
                <span className={styles.what}>
                  {run.name === '' ? describePlan(run.plan) : <bdi>{run.name}</bdi>}
                </span>
                <Outcome run={run} />
              </button>
            </li>
          ))}
        </ol>
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
