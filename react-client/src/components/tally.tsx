import { formatCount } from '../lib/figures';
import styles from './tally.module.css';

export interface TallyRow {
  readonly name: string;
  readonly count: number;
  /** What the name means, in a few words. */
  readonly meaning?: string | undefined;
  readonly tone?: 'plain' | 'good' | 'bad';
}

interface TallyProps {
  title: string;
  rows: readonly TallyRow[];
  /** What stands there while there are no rows. */
  whenEmpty?: string;
}

/** How often each of several things happened, with a bar as long as its share. */
export function Tally({ title, rows, whenEmpty = 'None so far.' }: TallyProps) {
  const most = Math.max(1, ...rows.map(({ count }) => count));
  return (
    <section className={styles.tally} aria-label={title}>
      <h3 className={styles.title}>{title}</h3>
      {rows.length === 0 ? (
        <p className={styles.empty}>{whenEmpty}</p>
      ) : (
        <dl className={styles.rows}>
          {rows.map(({ name, count, meaning, tone = 'plain' }) => (
            <div
              key={`${name} ${meaning ?? ''}`}
              className={styles.row}
              data-tone={count === 0 ? 'none' : tone}
            >
              <dt className={styles.name}>
                {name}
                {meaning !== undefined && <span className={styles.meaning}>{meaning}</span>}
              </dt>
              <dd className={styles.count}>{formatCount(count)}</dd>
              <span
                className={styles.bar}
                data-bar=""
                style={{ width: `${String((100 * count) / most)}%` }}
                aria-hidden="true"
              />
            </div>
          ))}
        </dl>
      )}
    </section>
  );
}
