import { formatDuration } from '../../lib/figures';
import { describeChange } from './load-changes';
import styles from './run-changes.module.css';
import type { RunFigures } from './run-figures';

/** How the load was changed by hand; nothing for a run that went as planned. */
export function RunChanges({ figures }: { figures: RunFigures }) {
  const changes = figures.changes ?? [];
  if (changes.length === 0) return null;
  return (
    <section aria-labelledby="changed-by-hand">
      <h3 id="changed-by-hand" className={styles.title}>
        Changed by hand
      </h3>
      <ol className={styles.changes} aria-labelledby="changed-by-hand">
        {changes.map((change, index) => (
          <li key={index}>
            after {formatDuration(change.t_s)}: {describeChange(change)}
          </li>
        ))}
      </ol>
    </section>
  );
}
