import button from '../../components/button.module.css';
import { formatCount } from '../../lib/figures';
import { useSecondsUntil } from '../../lib/use-seconds-until';
import type { Retry } from './connection-state';
import styles from './retry-countdown.module.css';

interface RetryCountdownProps {
  retry: Retry;
  onTryNow: () => void;
  onStopTrying: () => void;
}

/** The wait until the next attempt, which one may cut short or call off. */
export function RetryCountdown({ retry, onTryNow, onStopTrying }: RetryCountdownProps) {
  const leftS = useSecondsUntil(retry.atMs);
  return (
    <p className={styles.retry}>
      <span role="timer">
        Attempt {formatCount(retry.attempt)} in {formatCount(leftS)} s
      </span>
      <button type="button" className={button.smallQuiet} onClick={onTryNow}>
        Reconnect now
      </button>
      <button type="button" className={button.smallQuiet} onClick={onStopTrying}>
        Stop trying
      </button>
    </p>
  );
}

/** The attempt itself, which one may give up as before. */
export function RetryAttempt(props: { attempt: number; onStopTrying: () => void }) {
  return (
    <p className={styles.retry}>
      <span>Attempt {formatCount(props.attempt)}…</span>
      <button type="button" className={button.smallQuiet} onClick={props.onStopTrying}>
        Stop trying
      </button>
    </p>
  );
}
