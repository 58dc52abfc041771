import { Suspense, useCallback, useMemo, useState } from 'react';

import type { ValueAction } from '../../components/chosen-value';
import { CopyButton } from '../../components/copy-button';
import { ErrorBoundary } from '../../components/error-boundary';
import { ModalDialog } from '../../components/modal-dialog';
import panel from '../../components/panel.module.css';
import { formatBytes, formatCount, formatMilliseconds, formatTimeOfDay } from '../../lib/figures';
import { lazyPart } from '../../lib/lazy-part';
import type { Outgoing } from '../../lib/send-plan';
import { BinaryContent, type BinaryReader } from './binary-content';
import { CompareChoice } from './compare-choice';
import type { Entry, ReceivedEntry, SentEntry } from './conversation';
import { type CopyTarget, recipesFor } from './copy-as';
import { savePayload, TextContent } from './message-content';
import styles from './message-dialog.module.css';
import { sizeBytesOf, withoutSuffix } from './payload';
import type { ReadTree } from './read-tree';
import { Resend } from './resend';

// Most messages are not compared.
const CompareView = lazyPart(() => import('./compare-view'));

type Message = SentEntry | ReceivedEntry;

interface MessageDialogProps {
  entry: Message;
  target: CopyTarget | null;
  /** Settles to why it was not sent, in one line, or to `null` when it was. */
  onResend: (data: Outgoing) => Promise<string | null>;
  /** How binary messages are read. */
  binary: BinaryReader;
  /** What can be done with a value of it. */
  actions: readonly ValueAction[];
  entries: readonly Entry<unknown>[];
  readTree: ReadTree;
  /** The message that was marked to be compared with another. */
  marked: Message | null;
  onMark: (entry: Message | null) => void;
  onClose: () => void;
}

const SHOWN_OF_SCRIPT = 200;

/** One message from all sides, and ways to take it elsewhere. */
export default function MessageDialog(props: MessageDialogProps) {
  const { entry, target, binary, actions, onResend, onClose } = props;
  const suffix = entry.kind === 'received' ? (entry.answers?.suffix ?? null) : null;
  // The same as long as the message is: what was unfolded or chosen in it stays so.
  const payload = useMemo(() => withoutSuffix(entry.payload, suffix), [entry.payload, suffix]);
  const [compared, setCompared] = useState<readonly [Message, Message] | null>(null);
  const save = useCallback(() => savePayload(payload), [payload]);
  const isSent = entry.kind === 'sent';

  if (compared !== null) {
    const [first, second] = compared;
    return (
      <ModalDialog title="Two messages compared" onClose={onClose}>
        <ErrorBoundary part="The comparison">
          <Suspense>
            <CompareView
              first={first}
              second={second}
              readTree={props.readTree}
              onBack={() => setCompared(null)}
            />
          </Suspense>
        </ErrorBoundary>
      </ModalDialog>
    );
  }

  return (
    <ModalDialog
      title={isSent ? `Message ${formatCount(entry.number)}, sent` : 'Message received'}
      onClose={onClose}
    >
      <dl className={styles.facts}>
        <Fact name="At" value={formatTimeOfDay(entry.atMs, 'milliseconds')} />
        <Fact name="Size" value={formatBytes(sizeBytesOf(entry.payload))} />
        {isSent ? (
          <Fact name="Fate" value={entry.fate} />
        ) : (
          <>
            <Fact name="Verdict" value={entry.verdict} />
            {entry.answers !== undefined && (
              <Fact name="Answers" value={`#${formatCount(entry.answers.number)}`} />
            )}
            {suffix !== null && <Fact name="Suffix" value={suffix} />}
            {entry.roundTripMs !== undefined && (
              <Fact name="Round trip" value={formatMilliseconds(entry.roundTripMs)} />
            )}
          </>
        )}
      </dl>

      {isSent && <Resend payload={payload} onResend={onResend} />}

      {payload.type === 'text' ? (
        <TextContent text={payload.text} actions={actions} save={save} />
      ) : (
        <BinaryContent bytes={payload.bytes} reader={binary} actions={actions} save={save} />
      )}

      <CompareChoice
        entry={entry}
        entries={props.entries}
        marked={props.marked}
        onMark={props.onMark}
        onCompare={(first, second) => setCompared([first, second])}
      />

      {target !== null && (
        <section className={styles.recipes} aria-label="Copy as">
          <h3 className={panel.title}>{isSent ? 'Say the same with' : 'Send this with'}</h3>
          {recipesFor(payload, target).map(({ name, text, whyNot }) => (
            <p key={name} className={styles.recipe}>
              <span className={styles.recipeName}>{name}</span>
              {text === null ? (
                <span className={panel.note}>{whyNot}</span>
              ) : (
                <>
                  <code className={styles.script}>{text.slice(0, SHOWN_OF_SCRIPT)}</code>
                  <CopyButton text={text} label={`as ${name}`} />
                </>
              )}
            </p>
          ))}
        </section>
      )}
    </ModalDialog>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
