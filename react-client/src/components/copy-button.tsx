import { useState } from 'react';

import styles from './copy-button.module.css';

/** Copies `text`; `label` names for screen readers what is copied. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const [result, setResult] = useState<'none' | 'copied' | 'failed'>('none');

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      setResult('copied');
    } catch {
      // Pages served over plain http from another machine have no clipboard at all.
      setResult('failed');
    }
  };

  return (
    <button
      type="button"
      className={styles.button}
      aria-label={`Copy ${label}`}
      onClick={() => void copy()}
      onBlur={() => {
        setResult('none');
      }}
    >
      <span aria-live="polite">{CAPTIONS[result]}</span>
    </button>
  );
}

const CAPTIONS = { none: 'Copy', copied: 'Copied', failed: 'Copy by hand' } as const;
