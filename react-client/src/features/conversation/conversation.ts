import { EchoMatcher, type SentMessage } from './echo-matcher';
import { keepLog, readKeptLog } from './kept-log';
import { type LogBounds, MessageLog } from './message-log';
import { matchKey, type Payload, weightOf } from './payload';
import { type RoundTripSummary, RoundTrips } from './round-trips';

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
  readonly payload: Payload;
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
  /** Messages received since the page began; it goes on when the counts start afresh. */
  readonly heard: number;
}

interface LoggedMessage extends SentMessage {
  readonly entryId: number;
  readonly sentAtMs: number;
}

const NOTHING = {
  sent: 0,
  received: 0,
  echoed: 0,
  reordered: 0,
  duplicate: 0,
  unexpected: 0,
  lost: 0,
};

/** What was said over one connection after another, and what it adds up to. Does no I/O. */
export class Conversation<Notice> {
  readonly #log: MessageLog<Entry<Notice>>;
  #roundTrips = new RoundTrips();
  #tally = { ...NOTHING };
  /** Of the message sent last; it goes on when the counts start afresh. */
  #number = 0;
  #heard = 0;
  #matcher = new EchoMatcher<LoggedMessage>();

  constructor(bounds?: LogBounds) {
    this.#log = new MessageLog(bounds);
  }

  recordSent(payload: Payload, atMs: number): void {
    this.#tally.sent += 1;
    this.#number += 1;
    const number = this.#number;
    const id = this.#log.nextId;
    this.#matcher.expectReply({ number, text: matchKey(payload), entryId: id, sentAtMs: atMs });
    const characters = weightOf(payload);
    this.#log.append({ kind: 'sent', id, atMs, number, payload, fate: 'waiting', characters });
  }

  /** Returns the round trip, if the reply ends one. */
  recordReceived(payload: Payload, atMs: number): number | null {
    this.#tally.received += 1;
    this.#heard += 1;
    const judged = this.#matcher.judge(matchKey(payload));
    this.#tally[judged.kind] += 1;

    const entry = {
      kind: 'received',
      id: this.#log.nextId,
      atMs,
      payload,
      verdict: judged.kind,
      characters: weightOf(payload),
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

  /** Empties the log; the counts go on. */
  clearLog(): void {
    this.#log.clear();
  }

  /** Counts afresh. What still waits for its reply is all that was sent, then. */
  restartCounts(): void {
    this.#tally = { ...NOTHING, sent: this.#matcher.waitingCount };
    this.#roundTrips = new RoundTrips();
  }

  /** The log as a text that another page can go on from; `null` while there is nothing in it. */
  keepLog(): string | null {
    const entries = this.#log.snapshot();
    return entries.length === 0 ? null : keepLog(entries, this.#log.dropped);
  }

  /** Goes on from a log that was kept; returns how many older entries are missing, or `null`. */
  restoreLog(kept: string | null): number | null {
    const read = readKeptLog<Notice>(kept, this.#log.nextId);
    if (read === null) return null;
    for (const entry of read.entries) {
      this.#log.append(entry);
      if (entry.kind === 'sent') this.#number = Math.max(this.#number, entry.number);
    }
    return read.left;
  }

  snapshot(): ConversationSnapshot<Notice> {
    return {
      entries: this.#log.snapshot(),
      dropped: this.#log.dropped,
      counts: { ...this.#tally, waiting: this.#matcher.waitingCount },
      roundTrips: this.#roundTrips.summary(),
      heard: this.#heard,
    };
  }

  #setFate(message: LoggedMessage, fate: SentEntry['fate']): void {
    this.#log.replace(message.entryId, (entry) =>
      entry.kind === 'sent' ? { ...entry, fate } : entry,
    );
  }
}
