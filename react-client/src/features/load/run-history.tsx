import { formatClock } from '../../lib/figures';
import { describePlan } from './plan-text';
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
                <span className={styles.what}>{describePlan(run.plan)}</span>
                <span className={styles.outcome} data-outcome={outcomeOf(run)}>
                  {outcomeOf(run)}
                </span>
              </button>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

/** The verdict, or how things stand without one. */
export function outcomeOf({ state, verdict }: RunSummary): string {
  return state === 'done' ? (verdict ?? 'done') : state === 'failed' ? 'no report' : state;
}
