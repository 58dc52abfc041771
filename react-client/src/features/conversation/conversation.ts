import type { SentBy } from '../../lib/automation';
import { addTallies, type EchoCounts, NOTHING_COUNTED, type Tally } from './echo-counts';
import { type Fate, Judgement, type LoggedMessage } from './judgement';
import { keepLog, readKeptLog } from './kept-log';
import { AUTO, type Matching, matchingText, type ReplyForm } from './matching';
import { type LogBounds, MessageLog } from './message-log';
import { matchKey, type Payload, weightOf } from './payload';
import type { ReplyVerdict } from './reply-matcher';
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
  readonly fate: Fate;
  /** Absent from what was sent by hand, or by Repeat. */
  readonly by?: SentBy;
}

export interface ReceivedEntry extends EntryOfAnyKind {
  readonly kind: 'received';
  readonly payload: Payload;
  readonly verdict: ReplyVerdict<LoggedMessage>['kind'];
  /** The message answered, and the suffix's digits; absent from what answers none. */
  readonly answers?: { readonly number: number; readonly suffix: string | null };
  /** Absent where no message was waiting. */
  readonly roundTripMs?: number;
}

/** Something that happened to the connection, told in the conversation where it happened. */
export interface NoticeEntry<Notice> extends EntryOfAnyKind {
  readonly kind: 'notice';
  readonly notice: Notice;
}

export type Entry<Notice> = SentEntry | ReceivedEntry | NoticeEntry<Notice>;

export interface ConversationSnapshot<Notice> {
  readonly entries: readonly Entry<Notice>[];
  readonly dropped: number;
  readonly counts: EchoCounts;
  readonly roundTrips: RoundTripSummary | null;
  /** Messages received since the page began; it goes on when the counts start afresh. */
  readonly heard: number;
  readonly matching: Matching;
  /** The form in which the server was seen to answer; `undefined` until it was. */
  readonly form: ReplyForm | undefined;
}

/**
 * What was said over one connection after another, and what it adds up to. Does no I/O.
 *
 * Judged anew is the last connection, as far as the log has it: those before stay as they were.
 */
export class Conversation<Notice> {
  readonly #log: MessageLog<Entry<Notice>>;
  #roundTrips = new RoundTrips();
  /** Of the connections before the last. */
  #before: Tally = NOTHING_COUNTED;
  /** Of the message sent last; it goes on when the counts start afresh. */
  #number = 0;
  #heard = 0;
  #matching: Matching = AUTO;
  /** What the last connection began with. */
  #knownForm: ReplyForm | undefined;
  #judgement: Judgement;
  #isOver = false;
  /** Of the last connection, the first entry that its counts are of. */
  #countedFromId = 0;
  /** What was sent before that entry, and waited for its reply. */
  #carried: readonly LoggedMessage[] = [];

  constructor(bounds?: LogBounds) {
    this.#log = new MessageLog(bounds);
    this.#judgement = this.#newJudgement();
  }

  recordSent(payload: Payload, atMs: number, by?: SentBy): void {
    this.#beginIfOver();
    this.#number += 1;
    const number = this.#number;
    const id = this.#log.nextId;
    const fate = this.#judgement.send({
      number,
      text: matchKey(payload),
      entryId: id,
      sentAtMs: atMs,
    });
    const characters = weightOf(payload);
    const sent = { kind: 'sent', id, atMs, number, payload, fate, characters } as const;
    this.#log.append(by === undefined ? sent : { ...sent, by });
  }

  /** Returns the round trip, if the reply ends one. */
  recordReceived(payload: Payload, atMs: number): number | null {
    this.#beginIfOver();
    this.#heard += 1;
    const id = this.#log.nextId;
    const entry = this.#judged({ id, atMs, payload, characters: weightOf(payload) });
    this.#log.append(entry);
    return entry.roundTripMs ?? null;
  }

  recordNotice(notice: Notice, atMs: number): void {
    this.#log.append({ kind: 'notice', id: this.#log.nextId, atMs, notice, characters: 0 });
  }

  /** Counts what was still waiting as lost, says how many, and starts afresh for the next one. */
  endConnection(): number {
    // A reply cannot cross connections: the next message begins a new judgement.
    this.#isOver = true;
    return this.#judgement.end();
  }

  /** Takes replies for those of another server, of which one does not know how it answers. */
  forgetForm(): void {
    this.#beginIfOver();
    this.#knownForm = undefined;
    this.#judgement = this.#newJudgement();
  }

  /** Matches replies otherwise, from the last connection's beginning. */
  setMatching(matching: Matching): void {
    if (matchingText(matching) === matchingText(this.#matching)) return;
    this.#matching = matching;
    this.#judgeAnew();
  }

  /** Empties the log; the counts go on. */
  clearLog(): void {
    this.#log.clear();
  }

  /** Counts afresh. What still waits for its reply is all that was sent, then. */
  restartCounts(): void {
    this.#carried = this.#stillWaiting();
    this.#countedFromId = this.#log.nextId;
    this.#before = NOTHING_COUNTED;
    this.#judgement.restartCounts();
    this.#roundTrips = new RoundTrips();
  }

  /** The log as a text that another page can go on from; `null` while there is nothing in it. */
  keepLog(): string | null {
    const entries = this.#log.snapshot();
    if (entries.length === 0) return null;
    return keepLog(entries, this.#log.dropped, this.#judgement.isReplyOwed ? 'lost' : 'one_way');
  }

  /** Goes on from a log that was kept; returns how many older entries are missing, or `null`. */
  restoreLog(kept: string | null): number | null {
    const read = readKeptLog<Notice>(kept, this.#log.nextId);
    if (read === null) return null;
    for (const entry of read.entries) {
      this.#log.append(entry);
      if (entry.kind === 'sent') this.#number = Math.max(this.#number, entry.number);
    }
    // Those are of another page's connections.
    this.#countedFromId = this.#log.nextId;
    return read.left;
  }

  snapshot(): ConversationSnapshot<Notice> {
    const counts = this.#judgement.counts();
    return {
      entries: this.#log.snapshot(),
      dropped: this.#log.dropped,
      counts: { ...addTallies(this.#before, counts), waiting: counts.waiting },
      roundTrips: this.#roundTrips.summary(),
      heard: this.#heard,
      matching: this.#matching,
      form: this.#judgement.form,
    };
  }

  #beginIfOver(): void {
    if (!this.#isOver) return;
    this.#isOver = false;
    this.#before = addTallies(this.#before, this.#judgement.counts());
    this.#knownForm = this.#judgement.form;
    this.#judgement = this.#newJudgement();
    this.#countedFromId = this.#log.nextId;
    this.#carried = [];
  }

  #newJudgement(): Judgement {
    return new Judgement(this.#matching, this.#knownForm, ({ entryId }, fate) => {
      this.#log.replace(entryId, (entry) => (entry.kind === 'sent' ? { ...entry, fate } : entry));
    });
  }

  #judged(received: Omit<ReceivedEntry, 'kind' | 'verdict'>): ReceivedEntry {
    const { id, atMs, payload, characters } = received;
    const judged = this.#judgement.receive(payload);
    const entry = {
      kind: 'received',
      id,
      atMs,
      payload,
      verdict: judged.kind,
      characters,
    } as const;
    if (!('message' in judged)) return entry;
    const answers = { number: judged.message.number, suffix: judged.suffix };
    if (judged.kind === 'duplicate') return { ...entry, answers };
    const roundTripMs = atMs - judged.message.sentAtMs;
    this.#roundTrips.add(roundTripMs);
    return { ...entry, answers, roundTripMs };
  }

  #judgeAnew(): void {
    this.#judgement = this.#newJudgement();
    this.#roundTrips = new RoundTrips();
    for (const message of this.#carried) this.#judgement.send(message);
    for (const entry of this.#log.snapshot()) {
      if (entry.id < this.#countedFromId) continue;
      if (entry.kind === 'sent') {
        const fate = this.#judgement.send(loggedMessage(entry));
        if (fate !== entry.fate) this.#log.replace(entry.id, () => ({ ...entry, fate }));
      } else if (entry.kind === 'received') {
        const judged = this.#judged(entry);
        this.#log.replace(entry.id, () => judged);
      }
    }
    if (this.#isOver) this.#judgement.end();
  }

  #stillWaiting(): LoggedMessage[] {
    const waiting = this.#log.snapshot().flatMap((entry) => {
      const isWaiting = entry.kind === 'sent' && entry.fate === 'waiting';
      return isWaiting ? [loggedMessage(entry)] : [];
    });
    const known = new Set(waiting.map(({ number }) => number));
    return [...this.#carried.filter(({ number }) => !known.has(number)), ...waiting];
  }
}

function loggedMessage({ id, number, payload, atMs }: SentEntry): LoggedMessage {
  return { number, text: matchKey(payload), entryId: id, sentAtMs: atMs };
}
