import { memo, type ReactNode } from 'react';

import { VisuallyHidden } from '../../components/visually-hidden';
import { formatBytes, formatCount, formatMilliseconds, formatTimeOfDay } from '../../lib/figures';
import type { Payload, ReceivedEntry, SentEntry } from './conversation';
import styles from './message-row.module.css';

/** More than this would hold up the page for nobody's benefit. */
const SHOWN_CHARACTERS = 4_000;

/** One message, sent or received, with what is known of it beside it. */
export const MessageRow = memo(function MessageRow({
  entry,
}: {
  entry: SentEntry | ReceivedEntry;
}) {
  return entry.kind === 'sent' ? <SentRow entry={entry} /> : <ReceivedRow entry={entry} />;
});

function SentRow({ entry }: { entry: SentEntry }) {
  return (
    <div className={styles.sent}>
      <p className={styles.bubble}>
        <VisuallyHidden>Sent: </VisuallyHidden>
        <TextPayload text={entry.text} />
      </p>
      <p className={styles.facts}>
        {entry.fate === 'waiting' && <span>waiting</span>}
        {entry.fate === 'lost' && <span className={styles.fault}>lost</span>}
        <MessageNumber number={entry.number} />
        <Time atMs={entry.atMs} />
      </p>
    </div>
  );
}

function ReceivedRow({ entry }: { entry: ReceivedEntry }) {
  const { answers, payload, roundTripMs, verdict } = entry;
  return (
    <div className={styles.received}>
      <p className={styles.bubble} data-verdict={verdict}>
        <VisuallyHidden>Received: </VisuallyHidden>
        <ReceivedPayload payload={payload} suffix={answers?.suffix ?? null} />
      </p>
      <p className={styles.facts}>
        {roundTripMs !== undefined && (
          <span className={styles.roundTrip}>
            <VisuallyHidden>Round trip </VisuallyHidden>
            {formatMilliseconds(roundTripMs)}
          </span>
        )}
        {verdict !== 'echoed' && <span className={styles.fault}>{verdict}</span>}
        {answers !== undefined && (
          <span>
            <VisuallyHidden>answers </VisuallyHidden>
            <span aria-hidden="true">↩ </span>
            <MessageNumber number={answers.number} />
          </span>
        )}
        <Time atMs={entry.atMs} />
      </p>
    </div>
  );
}

function ReceivedPayload({ payload, suffix }: { payload: Payload; suffix: string | null }) {
  if (payload.type === 'binary') {
    const head = Array.from(payload.head, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const isWhole = payload.head.length === payload.sizeBytes;
    return (
      <>
        <Aside>binary, {formatBytes(payload.sizeBytes)}: </Aside>
        {head}
        {!isWhole && ' …'}
      </>
    );
  }
  if (suffix === null) return <TextPayload text={payload.text} />;
  return (
    <>
      <TextPayload text={payload.text.slice(0, -(suffix.length + 1))} />{' '}
      <span className={styles.suffix}>
        <VisuallyHidden>suffix </VisuallyHidden>
        {suffix}
      </span>
    </>
  );
}

function TextPayload({ text }: { text: string }) {
  if (text === '') return <Aside>empty message</Aside>;
  if (text.length <= SHOWN_CHARACTERS) return text;
  return (
    <>
      {text.slice(0, SHOWN_CHARACTERS)}
      <Aside>
        {' '}
        … the first {formatCount(SHOWN_CHARACTERS)} of {formatCount(text.length)} characters
      </Aside>
    </>
  );
}

/** Words of the page's own among a message's. */
function Aside({ children }: { children: ReactNode }) {
  return <span className={styles.aside}>{children}</span>;
}

function MessageNumber({ number }: { number: number }) {
  return <span>#{formatCount(number)}</span>;
}

function Time({ atMs }: { atMs: number }) {
  return <time>{formatTimeOfDay(atMs, 'milliseconds')}</time>;
}
