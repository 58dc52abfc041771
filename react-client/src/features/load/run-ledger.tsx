import { Tally, type TallyRow } from '../../components/tally';
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
          ...ifAny('one way', messages.one_way, 'sent without a reply to wait for'),
          ...ifAny('published', messages.published, 'to all who are in a room'),
          ...ifAny('missed', messages.missed, 'due, and never sent', 'bad'),
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
          ...ifAny('expected', messages.expected),
          ...ifAny('ignored', messages.ignored),
          ...ifAny('streamed', messages.streamed),
          ...ifAny('copies', messages.copies, 'of what was published'),
        ]}
      />
    </section>
  );
}

/** A column that most runs leave empty. */
function ifAny(
  name: string,
  count = 0,
  meaning?: string,
  tone: TallyRow['tone'] = 'good',
): TallyRow[] {
  return count === 0 ? [] : [{ name, count, meaning, tone }];
}
