import { Tally } from '../../components/tally';
import { formatCount } from '../../lib/figures';
import type { RunFigures } from './run-figures';
import styles from './run-ledger.module.css';

/** Every message sent and every reply, each in exactly one column. */
export function RunLedger({ figures }: { figures: RunFigures }) {
  const { messages, phase } = figures;
  return (
    <section className={styles.ledger} aria-label="Messages">
      <Tally
        title={`Sent: ${formatCount(messages.sent)}`}
        rows={[
          { name: 'echoed', count: messages.echoed, tone: 'good' },
          { name: 'reordered', count: messages.reordered, tone: 'bad' },
          { name: 'corrupt', count: messages.corrupt, tone: 'bad' },
          { name: 'lost', count: messages.lost, tone: 'bad' },
          { name: 'in flight', count: messages.inFlight, meaning: 'when it was interrupted' },
          ...(phase === 'over' ? [] : [{ name: 'awaited', count: messages.awaited }]),
        ]}
      />
      <Tally
        title={`Received: ${formatCount(messages.received)}`}
        rows={[
          { name: 'echoed', count: messages.echoed, tone: 'good' },
          { name: 'reordered', count: messages.reordered, tone: 'bad' },
          { name: 'corrupt', count: messages.corrupt, tone: 'bad' },
          { name: 'duplicate', count: messages.duplicate, tone: 'bad' },
          { name: 'unexpected', count: messages.unexpected, tone: 'bad' },
        ]}
      />
    </section>
  );
}
