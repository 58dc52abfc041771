import { EchoMatcher, type SentMessage } from './echo-matcher';
import { type LogBounds, MessageLog } from './message-log';
import { type RoundTripSummary, RoundTrips } from './round-trips';

export type Payload =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'binary'; readonly sizeBytes: number; readonly head: Uint8Array };

interface EntryOfAnyKind {
  readonly id: number;
  /** On the page's monotonic clock (`performance.now()`). */
  readonly atMs: number;
  /** What the entry weighs in the log's bound. */
  readonly characters: number;
}

export interface SentEntry extends EntryOfAnyKind {
  readonly kind: 'sent';
  readonly number: number;
  readonly text: string;
  readonly fate: 'waiting' | 'answered' | 'lost';
}

export interface ReceivedEntry extends EntryOfAnyKind {
  readonly kind: 'received';
  readonly payload: Payload;
  readonly verdict: 'echoed' | 'reordered' | 'duplicate' | 'unexpected';
  /** The message answered, and the suffix's digits; absent from an unexpected reply. */
  readonly answers?: { readonly number: number; readonly suffix: string | null };
  /** Absent from duplicates and unexpected replies: no message was waiting for them. */
  readonly roundTripMs?: number;
}

/** Something that happened to the connection, told in the conversation where it happened. */
export interface NoticeEntry<Notice> extends EntryOfAnyKind {
  readonly kind: 'notice';
  readonly notice: Notice;
}

export type Entry<Notice> = SentEntry | ReceivedEntry | NoticeEntry<Notice>;

/**
 * Every message sent is in exactly one column and so is every reply:
 * `sent = echoed + reordered + lost + waiting`,
 * `received = echoed + reordered + duplicate + unexpected`.
 */
export interface EchoCounts {
  readonly sent: number;
  readonly received: number;
  readonly waiting: number;
  readonly echoed: number;
  readonly reordered: number;
  readonly duplicate: number;
  readonly unexpected: number;
  readonly lost: number;
}

export interface ConversationSnapshot<Notice> {
  readonly entries: readonly Entry<Notice>[];
  readonly dropped: number;
  readonly counts: EchoCounts;
  readonly roundTrips: RoundTripSummary | null;
}

interface LoggedMessage extends SentMessage {
  readonly entryId: number;
  readonly sentAtMs: number;
}

/** What was said over one connection after another, and what it adds up to. Does no I/O. */
export class Conversation<Notice> {
  readonly #log: MessageLog<Entry<Notice>>;
  readonly #roundTrips = new RoundTrips();
  readonly #tally = {
    sent: 0,
    received: 0,
    echoed: 0,
    reordered: 0,
    duplicate: 0,
    unexpected: 0,
    lost: 0,
  };
  #matcher = new EchoMatcher<LoggedMessage>();

  constructor(bounds?: LogBounds) {
    this.#log = new MessageLog(bounds);
  }

  recordSent(text: string, atMs: number): void {
    this.#tally.sent += 1;
    const number = this.#tally.sent;
    const id = this.#log.nextId;
    this.#matcher.expectReply({ number, text, entryId: id, sentAtMs: atMs });
    this.#log.append({
      kind: 'sent',
      id,
      atMs,
      number,
      text,
      fate: 'waiting',
      characters: text.length,
    });
  }

  /** Returns the round trip, if the reply ends one. */
  recordReceived(payload: Payload, atMs: number): number | null {
    this.#tally.received += 1;
    // Only text is sent, so a binary reply cannot be right whatever its bytes.
    const judged =
      payload.type === 'text'
        ? this.#matcher.judge(payload.text)
        : ({ kind: 'unexpected' } as const);
    this.#tally[judged.kind] += 1;

    const entry = {
      kind: 'received',
      id: this.#log.nextId,
      atMs,
      payload,
      verdict: judged.kind,
      characters: payload.type === 'text' ? payload.text.length : payload.head.length,
    } as const;
    if (judged.kind === 'unexpected') {
      this.#log.append(entry);
      return null;
    }

    const answers = { number: judged.message.number, suffix: judged.suffix };
    if (judged.kind === 'duplicate') {
      this.#log.append({ ...entry, answers });
      return null;
    }

    const roundTripMs = atMs - judged.message.sentAtMs;
    this.#roundTrips.add(roundTripMs);
    this.#setFate(judged.message, 'answered');
    this.#log.append({ ...entry, answers, roundTripMs });
    return roundTripMs;
  }

  recordNotice(notice: Notice, atMs: number): void {
    this.#log.append({ kind: 'notice', id: this.#log.nextId, atMs, notice, characters: 0 });
  }

  /** Counts what was still waiting as lost, says how many, and starts afresh for the next one. */
  endConnection(): number {
    const lost = this.#matcher.giveUp();
    for (const message of lost) this.#setFate(message, 'lost');
    this.#tally.lost += lost.length;
    // A reply cannot cross connections, nor need the next server reply in the same form.
    this.#matcher = new EchoMatcher();
    return lost.length;
  }

  snapshot(): ConversationSnapshot<Notice> {
    return {
      entries: this.#log.snapshot(),
      dropped: this.#log.dropped,
      counts: { ...this.#tally, waiting: this.#matcher.waitingCount },
      roundTrips: this.#roundTrips.summary(),
    };
  }

  #setFate(message: LoggedMessage, fate: SentEntry['fate']): void {
    this.#log.replace(message.entryId, (entry) =>
      entry.kind === 'sent' ? { ...entry, fate } : entry,
    );
  }
}
