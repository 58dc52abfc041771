import { useState } from 'react';

import button from '../../components/button.module.css';
import panel from '../../components/panel.module.css';
import type { Entry, ReceivedEntry, SentEntry } from './conversation';
import styles from './message-dialog.module.css';
import { nameOf } from './message-name';

type Message = SentEntry | ReceivedEntry;

interface CompareChoiceProps {
  entry: Message;
  entries: readonly Entry<unknown>[];
  /** The message that was marked to be compared with another. */
  marked: Message | null;
  onMark: (entry: Message | null) => void;
  onCompare: (first: Message, second: Message) => void;
}

/** What a message can be compared with: what it answers, what came before it, what one has marked. */
export function CompareChoice(props: CompareChoiceProps) {
  const { entry, entries, marked, onMark, onCompare } = props;
  // Found once: they stay the same, and a log may have a hundred thousand entries.
  const [{ answered, before }] = useState(() => ({
    answered: answeredBy(entry, entries),
    before: entries.findLast((one): one is Message => one.kind === entry.kind && one.id < entry.id),
  }));
  const compare = (name: string, first: Message) => (
    <button
      type="button"
      className={button.smallQuiet}
      onClick={() => {
        onCompare(first, entry);
      }}
    >
      {name}
    </button>
  );
  return (
    <section className={styles.recipes} aria-label="Compare">
      <h3 className={panel.title}>Compare it</h3>
      <div className={styles.choices}>
        {answered !== undefined && compare('With the message it answers', answered)}
        {before !== undefined &&
          compare(
            entry.kind === 'sent' ? 'With the one sent before' : 'With the one received before',
            before,
          )}
        {marked !== null && marked.id !== entry.id ? (
          compare(`With the marked one: ${nameOf(marked)}`, marked)
        ) : (
          <button
            type="button"
            className={button.smallQuiet}
            aria-pressed={marked !== null}
            onClick={() => {
              onMark(marked === null ? entry : null);
            }}
          >
            {marked === null ? 'Mark it for another' : 'Marked: open another, or press to let go'}
          </button>
        )}
      </div>
    </section>
  );
}

function answeredBy(entry: Message, entries: readonly Entry<unknown>[]): SentEntry | undefined {
  if (entry.kind === 'sent' || entry.answers === undefined) return undefined;
  const { number } = entry.answers;
  return entries.findLast((one): one is SentEntry => one.kind === 'sent' && one.number === number);
}
