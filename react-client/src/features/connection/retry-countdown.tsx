import { useEffect, useState } from 'react';

import button from '../../components/button.module.css';
import { formatCount } from '../../lib/figures';
import type { Retry } from './connection-state';
import styles from './retry-countdown.module.css';

interface RetryCountdownProps {
  retry: Retry;
  onTryNow: () => void;
  onStopTrying: () => void;
}

const TICK_MS = 200;
const SMALL = `${button.quiet ?? ''} ${button.small ?? ''}`;

/** The wait until the next attempt, which one may cut short or call off. */
export function RetryCountdown({ retry, onTryNow, onStopTrying }: RetryCountdownProps) {
  const [nowMs, setNowMs] = useState(() => performance.now());
  useEffect(() => {
    const timer = setInterval(() => setNowMs(performance.now()), TICK_MS);
    return () => {
      clearInterval(timer);
    };
  }, []);
  const leftS = Math.max(0, Math.ceil((retry.atMs - nowMs) / 1000));
  return (
    <p className={styles.retry}>
      <span role="timer">
        Attempt {formatCount(retry.attempt)} in {formatCount(leftS)} s
      </span>
      <button type="button" className={SMALL} onClick={onTryNow}>
        Reconnect now
      </button>
      <button type="button" className={SMALL} onClick={onStopTrying}>
        Stop trying
      </button>
    </p>
  );
}
