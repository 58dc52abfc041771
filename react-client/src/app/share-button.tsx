import { useRef, useState } from 'react';

import { IconButton } from './icon-button';
import styles from './share-button.module.css';

/** Copies a link that brings others to what one sees. */
export function ShareButton({ onShare }: { onShare: () => Promise<boolean> }) {
  const [result, setResult] = useState<'none' | 'copied' | 'failed'>('none');
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const share = async () => {
    setResult((await onShare()) ? 'copied' : 'failed');
    // Of the press before, the time is not up yet for this one.
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      setResult('none');
    }, SHOWN_MS);
  };
  return (
    <span className={styles.share}>
      <span className={styles.result} role="status">
        {CAPTIONS[result]}
      </span>
      <IconButton label="Copy a link to this" onPress={() => void share()}>
        <path d="M10 14a4 4 0 0 0 5.7 0l3.1-3.1a4 4 0 0 0-5.7-5.7l-1.4 1.4" />
        <path d="M14 10a4 4 0 0 0-5.7 0l-3.1 3.1a4 4 0 0 0 5.7 5.7l1.4-1.4" />
      </IconButton>
    </span>
  );
}

const SHOWN_MS = 2_500;
const CAPTIONS = { none: '', copied: 'Link copied', failed: 'Copy the address bar' } as const;
