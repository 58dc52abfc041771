import { type EchoCounts, NOTHING_COUNTED, type Tally } from './echo-counts';
import type { Matching, ReplyForm } from './matching';
import { matchKey, type Payload } from './payload';
import { ReplyMatcher, type ReplyVerdict, type SentMessage } from './reply-matcher';

/** A message that was sent, by where it stands in the log. */
export interface LoggedMessage extends SentMessage {
  readonly entryId: number;
  readonly sentAtMs: number;
}

type Columns = { -readonly [Column in keyof Tally]: Tally[Column] };

export type Fate = 'waiting' | 'answered' | 'lost' | 'one_way';

/**
 * What one connection's messages were worth under one matching: the ledger of a connection. It
 * knows no log; what it learns of a message sent earlier, it tells by `onFate`.
 */
export class Judgement {
  readonly #matcher: ReplyMatcher<LoggedMessage>;
  readonly #onFate: (message: LoggedMessage, fate: Fate) => void;
  readonly #tally: Columns = { ...NOTHING_COUNTED };

  constructor(
    matching: Matching,
    form: ReplyForm | undefined,
    onFate: (message: LoggedMessage, fate: Fate) => void,
  ) {
    this.#matcher = new ReplyMatcher(matching, form);
    this.#onFate = onFate;
  }

  get form(): ReplyForm | undefined {
    return this.#matcher.form;
  }

  /** Whether what waits is known to be owed its reply. */
  get isReplyOwed(): boolean {
    return this.#matcher.isReplyOwed;
  }

  counts(): EchoCounts {
    return { ...this.#tally, waiting: this.#matcher.waitingCount };
  }

  /** Returns the fate that the message has for now. */
  send(message: LoggedMessage): Fate {
    this.#tally.sent += 1;
    if (this.#matcher.expectReply(message)) return 'waiting';
    this.#tally.oneWay += 1;
    return 'one_way';
  }

  receive(payload: Payload): ReplyVerdict<LoggedMessage> {
    this.#tally.received += 1;
    const judged = this.#matcher.judge(matchKey(payload));
    this.#tally[judged.kind] += 1;
    if ('released' in judged) {
      this.#onFate(judged.message, 'answered');
      for (const message of judged.released) this.#onFate(message, 'one_way');
      this.#tally.oneWay += judged.released.length;
    }
    return judged;
  }

  /** Ends the connection; returns how many messages were lost. */
  end(): number {
    const { lost, oneWay } = this.#matcher.giveUp();
    for (const message of lost) this.#onFate(message, 'lost');
    for (const message of oneWay) this.#onFate(message, 'one_way');
    this.#tally.lost += lost.length;
    this.#tally.oneWay += oneWay.length;
    return lost.length;
  }

  /** Counts afresh. What still waits for its reply is all that was sent, then. */
  restartCounts(): void {
    Object.assign(this.#tally, { ...NOTHING_COUNTED, sent: this.#matcher.waitingCount });
  }
}
