import { type ReactNode, useId } from 'react';

import styles from './absence.module.css';

/** What stands in place of a view that has nothing to show: why, and what to do about it. */
export function Absence({ title, children }: { title: string; children: ReactNode }) {
  const titleId = useId();
  return (
    <section className={styles.absence} aria-labelledby={titleId}>
      <h2 id={titleId} className={styles.title}>
        {title}
      </h2>
      {children}
    </section>
  );
}
