import { useState } from 'react';

import styles from './copy-button.module.css';
import { VisuallyHidden } from './visually-hidden';

interface CopyButtonProps {
  /** Or what makes it, where that takes a while. */
  text: string | (() => string);
  label: string;
}

/** Copies `text`; `label` names for screen readers what is copied. */
export function CopyButton({ text, label }: CopyButtonProps) {
  const [result, setResult] = useState<'none' | 'copied' | 'failed'>('none');

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === 'string' ? text : text());
      setResult('copied');
    } catch {
      // Pages served over plain http from another machine have no clipboard at all.
      setResult('failed');
    }
  };

  return (
    <>
      <button
        type="button"
        className={styles.button}
        aria-label={`Copy ${label}`}
        onClick={() => void copy()}
        onBlur={() => {
          setResult('none');
        }}
      >
        {CAPTIONS[result]}
      </button>
      {/* A button's name does not change under the reader, and nothing in it is live. */}
      <VisuallyHidden role="status">{result === 'none' ? '' : CAPTIONS[result]}</VisuallyHidden>
    </>
  );
}

const CAPTIONS = { none: 'Copy', copied: 'Copied', failed: 'Copy by hand' } as const;
