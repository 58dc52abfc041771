import styles from './stat-tiles.module.css';

export interface Stat {
  readonly name: string;
  /** `null` where there is no figure: shown as a dash, not as a zero. */
  readonly value: string | null;
  readonly detail?: string;
  readonly tone?: 'plain' | 'good' | 'wary' | 'bad';
}

/** The figures that matter most, side by side. */
export function StatTiles({ stats, label }: { stats: readonly Stat[]; label: string }) {
  return (
    <dl className={styles.tiles} aria-label={label}>
      {stats.map(({ name, value, detail, tone = 'plain' }) => (
        <div key={name} className={styles.tile} data-tone={value === null ? 'none' : tone}>
          <dt className={styles.name}>{name}</dt>
          <dd className={styles.value}>
            {value ?? '–'}
            {detail !== undefined && <span className={styles.detail}>{detail}</span>}
          </dd>
        </div>
      ))}
    </dl>
  );
}
