import panel from '../../components/panel.module.css';
import type { Problem } from './content';
import styles from './message-dialog.module.css';

/** Why a message is not what it looks like, and the place. */
export function ContentProblem({ problem }: { problem: Problem }) {
  return (
    <div className={styles.problem} role="note">
      <p className={panel.problem}>{problem.sentence}</p>
      {/* The sentence says it all; this is for the eye. */}
      {problem.excerpt !== undefined && (
        <pre className={styles.excerpt} aria-hidden="true">
          {problem.excerpt}
        </pre>
      )}
    </div>
  );
}
