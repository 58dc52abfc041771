import button from '../../components/button.module.css';
import { formatCount, formatMilliseconds } from '../../lib/figures';
import { usePartName } from '../../lib/part-name';
import type { Sending } from './sending';
import styles from './sending-strip.module.css';

interface SendingStripProps {
  sending: Sending;
  onStop: () => void;
  onDismiss: () => void;
}

/** Later than this is more than the grain of a timer. */
const LATE_MS = 50;

/** What sends by itself, in sight as long as it does, and how it ended. */
export function SendingStrip({ sending, onStop, onDismiss }: SendingStripProps) {
  const { state, sent, total, lateMs } = sending;
  const name = usePartName('Sending by itself');
  const isRunning = state === 'running';
  const count = `${formatCount(sent)}${total === null ? '' : ` of ${formatCount(total)}`}`;
  return (
    <section className={styles.strip} aria-label={name} data-state={state}>
      <p>
        {CAPTIONS[state]} <strong>{count}</strong>
        {isRunning && lateMs > LATE_MS && (
          <span className={styles.late}>{formatMilliseconds(lateMs)} behind</span>
        )}
      </p>
      {total !== null && (
        <progress className={styles.progress} max={total} value={sent} aria-label="Sent so far" />
      )}
      <button type="button" className={button.smallQuiet} onClick={isRunning ? onStop : onDismiss}>
        {isRunning ? 'Stop' : 'Dismiss'}
      </button>
    </section>
  );
}

const CAPTIONS = { running: 'Sending:', done: 'Sent', stopped: 'Stopped after' } as const;
