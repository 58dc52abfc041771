import type { ReactNode } from 'react';

import styles from './visually-hidden.module.css';

/** Text for screen readers, where the eye is told by place or colour. */
export function VisuallyHidden({ children }: { children: ReactNode }) {
  return <span className={styles.hidden}>{children}</span>;
}
