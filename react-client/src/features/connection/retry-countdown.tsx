import button from '../../components/button.module.css';
import { formatCount } from '../../lib/figures';
import { useSecondsUntil } from '../../lib/use-seconds-until';
import type { Retry } from './connection-state';
import styles from './retry-countdown.module.css';

interface RetryLineProps {
  /** The attempt under way; `undefined` between two. */
  attempt: number | undefined;
  /** The next attempt; `undefined` while there is one. */
  retry: Retry | undefined;
  onTryNow: () => void;
  onStopTrying: () => void;
}

/** What the page does by itself to connect again, which one may hurry or call off. */
export default function RetryLine({ attempt, retry, onTryNow, onStopTrying }: RetryLineProps) {
  return (
    <p className={styles.retry}>
      {attempt !== undefined && <span>Attempt {formatCount(attempt)}…</span>}
      {retry && (
        <>
          <Countdown retry={retry} />
          <button type="button" className={button.smallQuiet} onClick={onTryNow}>
            Reconnect now
          </button>
        </>
      )}
      <button type="button" className={button.smallQuiet} onClick={onStopTrying}>
        Stop trying
      </button>
    </p>
  );
}

function Countdown({ retry }: { retry: Retry }) {
  const leftS = useSecondsUntil(retry.atMs);
  return (
    <span role="timer">
      Attempt {formatCount(retry.attempt)} in {formatCount(leftS)} s
    </span>
  );
}
