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
          { name: 'Echoed', count: messages.echoed, tone: 'good' },
          { name: 'Reordered', count: messages.reordered, tone: 'bad' },
          { name: 'Corrupt', count: messages.corrupt, tone: 'bad' },
          { name: 'Lost', count: messages.lost, tone: 'bad' },
          { name: 'In flight', count: messages.inFlight, meaning: 'when it was interrupted' },
          ...ifAny('One way', messages.one_way, 'sent without a reply to wait for'),
          ...ifAny('Published', messages.published, 'to all who are in a room'),
          ...ifAny('Missed', messages.missed, 'due, and never sent', 'bad'),
          ...(phase === 'over' ? [] : [{ name: 'Awaited', count: messages.awaited }]),
        ]}
      />
      <Tally
        title={`Received: ${formatCount(messages.received)}`}
        rows={[
          { name: 'Echoed', count: messages.echoed, tone: 'good' },
          { name: 'Reordered', count: messages.reordered, tone: 'bad' },
          { name: 'Corrupt', count: messages.corrupt, tone: 'bad' },
          { name: 'Duplicate', count: messages.duplicate, tone: 'bad' },
          { name: 'Unexpected', count: messages.unexpected, tone: 'bad' },
          ...ifAny('Expected', messages.expected),
          ...ifAny('Ignored', messages.ignored),
          ...ifAny('Streamed', messages.streamed),
          ...ifAny('Copies', messages.copies, 'of what was published'),
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
