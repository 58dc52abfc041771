import type { ReactNode } from 'react';

import styles from './icon-button.module.css';

interface IconButtonProps {
  /** What it does: its name, and what the pointer is told. */
  label: string;
  onPress: () => void;
  /** The inside of a 24 × 24 drawing in strokes. */
  children: ReactNode;
}

/** A button of the header. */
export function IconButton({ label, onPress, children }: IconButtonProps) {
  return (
    <button
      type="button"
      className={styles.button}
      aria-label={label}
      title={label}
      onClick={onPress}
    >
      <svg
        width="18"
        height="18"
        viewBox="0 0 24 24"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.8"
        strokeLinecap="round"
        strokeLinejoin="round"
        aria-hidden="true"
      >
        {children}
      </svg>
    </button>
  );
}
