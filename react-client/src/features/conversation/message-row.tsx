import { type KeyboardEvent, memo, type ReactNode } from 'react';

import { nameOfSender } from '../../lib/automation';
import { VisuallyHidden } from '../../components/visually-hidden';
import { formatBytes, formatCount, formatMilliseconds, formatTimeOfDay } from '../../lib/figures';
import type { ReceivedEntry, SentEntry } from './conversation';
import { writeHex } from './hex';
import styles from './message-row.module.css';
import { type Payload, withoutSuffix } from './payload';

/** More than this would hold up the page for nobody's benefit. */
const SHOWN_CHARACTERS = 4_000;

/** Enough of a binary message to recognise it by. */
const SHOWN_BYTES = 16;

type Message = SentEntry | ReceivedEntry;

interface MessageRowProps {
  entry: Message;
  onOpen?: ((entry: Message) => void) | undefined;
  /** The keyboard has come to its button. */
  onVisit?: (id: number) => void;
  /** Whether the keyboard comes by its button: one of all rows is enough. */
  isTabStop?: boolean;
}

/** One message, sent or received, with what is known of it beside it. */
export const MessageRow = memo(function MessageRow(props: MessageRowProps) {
  const { entry, onOpen, onVisit, isTabStop = false } = props;
  const opener = onOpen && (
    <button
      type="button"
      className={styles.open}
      data-details=""
      tabIndex={isTabStop ? 0 : -1}
      aria-label={`Details of ${nameOf(entry)}`}
      title="Details"
      onFocus={() => {
        onVisit?.(entry.id);
      }}
      onKeyDown={goAlongButtons}
      onClick={() => {
        onOpen(entry);
      }}
    >
      ⋯
    </button>
  );
  return entry.kind === 'sent' ? (
    <SentRow entry={entry} opener={opener} />
  ) : (
    <ReceivedRow entry={entry} opener={opener} />
  );
});

/** So that of many the same button is told from its neighbours. */
function nameOf(entry: Message): string {
  if (entry.kind === 'sent') return `message ${formatCount(entry.number)}`;
  const { answers, verdict } = entry;
  if (answers !== undefined) return `reply to message ${formatCount(answers.number)}`;
  return verdict === 'unexpected' ? 'unexpected reply' : 'message received';
}

function SentRow({ entry, opener }: { entry: SentEntry; opener: ReactNode }) {
  return (
    <div className={styles.sent}>
      <p className={styles.bubble}>
        <VisuallyHidden>Sent: </VisuallyHidden>
        <PlainPayload payload={entry.payload} />
      </p>
      <p className={styles.facts}>
        {entry.by !== undefined && <span>{nameOfSender(entry.by)}</span>}
        {entry.fate === 'waiting' && <span>waiting</span>}
        {entry.fate === 'lost' && <span className={styles.fault}>lost</span>}
        <MessageNumber number={entry.number} />
        <Time atMs={entry.atMs} />
        {opener}
      </p>
    </div>
  );
}

function ReceivedRow({ entry, opener }: { entry: ReceivedEntry; opener: ReactNode }) {
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
        {isFault(verdict) && <span className={styles.fault}>{verdict}</span>}
        {answers !== undefined && (
          <span>
            <VisuallyHidden>answers </VisuallyHidden>
            <span aria-hidden="true">↩ </span>
            <MessageNumber number={answers.number} />
          </span>
        )}
        <Time atMs={entry.atMs} />
        {opener}
      </p>
    </div>
  );
}

/** Whether something is wrong: not with a push, which answers nothing and owes nothing. */
function isFault(verdict: ReceivedEntry['verdict']): boolean {
  return verdict !== 'echoed' && verdict !== 'ignored';
}

function ReceivedPayload({ payload, suffix }: { payload: Payload; suffix: string | null }) {
  if (suffix === null) return <PlainPayload payload={payload} />;
  return (
    <>
      <PlainPayload payload={withoutSuffix(payload, suffix)} />{' '}
      <span className={styles.suffix}>
        <VisuallyHidden>suffix </VisuallyHidden>
        {suffix}
      </span>
    </>
  );
}

function PlainPayload({ payload }: { payload: Payload }) {
  if (payload.type === 'text') return <TextPayload text={payload.text} />;
  const { bytes } = payload;
  return (
    <>
      <Aside>binary, {formatBytes(bytes.length)}: </Aside>
      {writeHex(bytes.subarray(0, SHOWN_BYTES))}
      {bytes.length > SHOWN_BYTES && ' …'}
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

/** From a row's button to that of the row above or below. */
function goAlongButtons(event: KeyboardEvent<HTMLElement>): void {
  if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return;
  const button = event.currentTarget;
  const placeOf = (one: Element) => Number(one.closest('li')?.dataset.index);
  const all = button.closest('[role=log]')?.querySelectorAll<HTMLElement>('[data-details]') ?? [];
  const buttons = [...all].sort((a, b) => placeOf(a) - placeOf(b));
  const next = buttons[buttons.indexOf(button) + (event.key === 'ArrowUp' ? -1 : 1)];
  event.preventDefault();
  next?.focus();
  next?.scrollIntoView({ block: 'nearest' });
}
