import { type KeyboardEvent, memo, type ReactNode, useContext } from 'react';

import { nameOfSender } from '../../lib/automation';
import { ValueLine } from '../../components/value-line';
import { VisuallyHidden } from '../../components/visually-hidden';
import { formatBytes, formatCount, formatMilliseconds, formatTimeOfDay } from '../../lib/figures';
import { looksLikeJson, readJson } from '../../lib/values/read-json';
import { ColumnCell } from './column-cell';
import type { ReceivedEntry, SentEntry } from './conversation';
import { writeHex } from './hex';
import { nameOf } from './message-name';
import styles from './message-row.module.css';
import { type Payload, withoutSuffix } from './payload';
import { RowReadingContext } from './row-reading';

/** More than this would hold up the page for nobody's benefit. */
const SHOWN_CHARACTERS = 4_000;

/** Of JSON, which is one line here: more than there is room for in the widest window. */
const SHOWN_OF_JSON = 300;

/** Of some thirty rows that are drawn at once, each is decoded whole. */
const MOST_DECODED = 16_384;

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

function SentRow({ entry, opener }: { entry: SentEntry; opener: ReactNode }) {
  return (
    <div className={styles.sent}>
      <ColumnCell entry={entry} />
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
      <ColumnCell entry={entry} />
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
  return payload.type === 'text' ? (
    <TextPayload text={payload.text} />
  ) : (
    <BinaryPayload bytes={payload.bytes} />
  );
}

function BinaryPayload({ bytes }: { bytes: Uint8Array }) {
  const { binary } = useContext(RowReadingContext);
  const decoded = bytes.length > MOST_DECODED ? null : binary?.decode(bytes);
  const size = formatBytes(bytes.length);
  if (binary !== null && decoded?.tree) {
    const isWhole = decoded.problem === null;
    const { text } = decoded.tree;
    return (
      <span className={styles.line} title={text.slice(0, SHOWN_OF_JSON)}>
        <Aside>
          {binary.name}, {size}
          {!isWhole && ', not all of it'}:{' '}
        </Aside>
        <ValueLine text={text} most={SHOWN_OF_JSON} />
      </span>
    );
  }
  if (binary !== null && decoded?.text != null && decoded.problem === null) {
    return (
      <>
        <Aside>
          {binary.name}, {size}:{' '}
        </Aside>
        <TextPayload text={decoded.text} />
      </>
    );
  }
  return (
    <>
      <Aside>
        binary, {size}
        {decoded && `, not ${binary?.name ?? ''}`}:{' '}
      </Aside>
      {writeHex(bytes.subarray(0, SHOWN_BYTES))}
      {bytes.length > SHOWN_BYTES && ' …'}
    </>
  );
}

function TextPayload({ text }: { text: string }) {
  if (text === '') return <Aside>empty message</Aside>;
  if (isJson(text)) {
    return (
      <span className={styles.line} title={text.slice(0, SHOWN_OF_JSON)}>
        <ValueLine text={text} most={SHOWN_OF_JSON} />
      </span>
    );
  }
  // Whichever way it runs: a suffix after Hebrew would else stand before it.
  if (text.length <= SHOWN_CHARACTERS) return <bdi>{text}</bdi>;
  return (
    <>
      <bdi>{text.slice(0, SHOWN_CHARACTERS)}</bdi>
      <Aside>
        {' '}
        … the first {formatCount(SHOWN_CHARACTERS)} of {formatCount(text.length)} characters
      </Aside>
    </>
  );
}

/** Whether it is an object or an array, or begins as one and is too long to be read for a row. */
function isJson(text: string): boolean {
  return looksLikeJson(text) && (text.length > SHOWN_CHARACTERS || readJson(text).ok);
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
