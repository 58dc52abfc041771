import type { ReactNode } from 'react';

import styles from './visually-hidden.module.css';

interface VisuallyHiddenProps {
  /** `status`: told as soon as it changes. */
  role?: 'status';
  children: ReactNode;
}

/** Text for screen readers, where the eye is told by place or colour. */
export function VisuallyHidden({ role, children }: VisuallyHiddenProps) {
  return (
    <span className={styles.hidden} role={role}>
      {children}
    </span>
  );
}
