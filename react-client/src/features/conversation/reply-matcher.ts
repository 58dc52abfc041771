import { likeness } from './likeness';
import { AUTO, type Matching, type ReplyForm } from './matching';
import { RecentlyAnswered } from './recently-answered';
import { isOfForm, isSameForm, keysOf, type Reading, readingsOf } from './reply-readings';

/**
 * Pairs every reply with the message it answers, and says what each frame was worth.
 *
 * A server may echo with a suffix, echo exactly, answer by an identifier in JSON, push without
 * being asked, or all of it. Without being told (`auto`), all forms are tried on each frame: the
 * text itself, the text less its suffix, and then the identifiers that protocols use. When a frame
 * fits two waiting texts ("1" and "1 2" sent, "1 2" received), the form in which this connection
 * was last seen to reply beyond doubt decides, and before that the older message, for which an
 * in-order server must be answering: a server that keeps the contract is never accused wrongly.
 *
 * What fits nothing is a fault only where one knows that everything sent here is owed its text: on
 * a server that was seen to answer with the suffix, or where the reader has said so. Elsewhere it
 * is a push (`ignored`), as is a greeting, which comes before anything was sent. Likewise, what was
 * sent to a server that was never seen to answer, or without the identifier of one that answers by
 * it, is owed nothing that one knows of (`one_way`).
 *
 * What no client can know: which of several identical waiting texts a reply is for. The oldest
 * is taken, so if the server swallowed one of them, the counts stay right and the round-trip
 * times of the others come out too long.
 */
export class ReplyMatcher<Message extends SentMessage> {
  readonly #matching: Matching;
  /** By each key that a reply may be found by; the oldest first. */
  readonly #byKey = new Map<string, Set<Waiting<Message>>>();
  readonly #waiting = new Set<Waiting<Message>>();
  readonly #answered = new RecentlyAnswered<Message>();
  /** Of those waiting, how many a reply may find by an identifier. */
  #identified = 0;
  #sent = 0;
  #latestAnswered = -Infinity;
  #form: ReplyForm | undefined;
  /** Frames that came before any form was seen, while something waited that they may have answered. */
  #unclaimed = 0;

  /** `form` is that in which the same server answered before. */
  constructor(matching: Matching = AUTO, form?: ReplyForm) {
    this.#matching = matching;
    this.#form = matching.by === 'auto' ? form : undefined;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** The form in which the server was last seen to reply; `undefined` until it was. */
  get form(): ReplyForm | undefined {
    return this.#form;
  }

  /** Whether a server as this one was seen to be, or is said to be, owes what waits its reply. */
  get isReplyOwed(): boolean {
    return this.#matching.by !== 'auto' || this.#form !== undefined;
  }

  /** Message numbers must rise from call to call. Returns whether a reply is owed. */
  expectReply(message: Message): boolean {
    this.#sent += 1;
    const isSuffixed = this.#form?.by === 'suffix';
    const keys = keysOf(message.text, this.#matching, !isSuffixed);
    const form = this.#matching.by === 'json' ? this.#matching : this.#form;
    if (keys.length === 0 || (form !== undefined && !isFoundBy(keys, form))) return false;
    const waiting: Waiting<Message> = { message, keys };
    this.#waiting.add(waiting);
    if (keys.length > 1) this.#identified += 1;
    for (const key of keys) {
      const same = this.#byKey.get(key);
      if (same === undefined) this.#byKey.set(key, new Set([waiting]));
      else same.add(waiting);
    }
    return true;
  }

  judge(reply: string): ReplyVerdict<Message> {
    const isJsonAwaited = this.#identified > 0 || this.#form?.by === 'json';
    const readings = readingsOf(reply, this.#matching, isJsonAwaited);

    const chosen = this.#choose(readings);
    if (chosen !== undefined) {
      const { waiting, suffix, form } = chosen;
      const released = this.#decide(form, waiting.message.number, chosen.isSure);
      // Who answers by identifier may answer what is quick before what is slow.
      const isLate = form.by !== 'json' && waiting.message.number < this.#latestAnswered;
      this.#settle(waiting);
      const kind = isLate ? 'reordered' : 'echoed';
      return { kind, message: waiting.message, suffix, released };
    }

    for (const { key, suffix } of this.#inLikelyOrder(readings)) {
      const message = this.#answered.find(key);
      if (message === undefined) continue;
      // A server that may push says one thing twice, and answers one request in several parts.
      if (!this.#isStrict) return { kind: 'ignored' };
      return { kind: 'duplicate', message, suffix };
    }
    return this.#judgeUnclaimed(reply, readings);
  }

  /** Ends it: every message still unanswered, oldest first, with whether it was owed a reply. */
  giveUp(): { readonly lost: Message[]; readonly oneWay: Message[] } {
    const left = [...this.#waiting].map(({ message }) => message);
    this.#waiting.clear();
    this.#byKey.clear();
    this.#identified = 0;
    return this.isReplyOwed ? { lost: left, oneWay: [] } : { lost: [], oneWay: left };
  }

  /** Whether what fits nothing is a fault. */
  get #isStrict(): boolean {
    return this.#matching.by === 'auto' ? this.#form?.by === 'suffix' : this.#matching.by !== 'off';
  }

  #judgeUnclaimed(reply: string, readings: readonly Reading[]): ReplyVerdict<Message> {
    if (!this.#isStrict || this.#sent === 0) {
      if (this.#form === undefined && this.#unclaimed < this.#waiting.size) this.#unclaimed += 1;
      return { kind: 'ignored' };
    }
    if (this.#matching.by === 'json') {
      // Without an identifier it answers nobody: a push.
      return { kind: readings.length === 0 ? 'ignored' : 'unexpected' };
    }
    const resembled = this.#mostAlike(reply);
    if (resembled === undefined) return { kind: 'unexpected' };
    this.#settle(resembled);
    return { kind: 'corrupt', message: resembled.message, suffix: null, released: [] };
  }

  /** The oldest of those waiting that a wrong reply has most in common with, if it is enough. */
  #mostAlike(reply: string): Waiting<Message> | undefined {
    let best: Waiting<Message> | undefined;
    let most = RESEMBLANCE;
    let looked = 0;
    for (const waiting of this.#waiting) {
      const alike = likeness(reply, waiting.message.text);
      if (alike > most || (alike === most && best === undefined)) [best, most] = [waiting, alike];
      if (++looked === MOST_COMPARED) break;
    }
    return best;
  }

  #choose(readings: readonly Reading[]): Chosen<Message> | undefined {
    const candidates = readings.flatMap(({ form, key, suffix }): Chosen<Message>[] => {
      const [waiting] = this.#byKey.get(key) ?? [];
      return waiting === undefined ? [] : [{ form, waiting, suffix, isSure: true }];
    });
    // The same text says more than the same identifier.
    const texts = candidates.filter(({ form }) => form.by !== 'json');
    const [first, second] = texts.length > 0 ? texts : candidates;
    if (first === undefined) return undefined;
    const known = candidates.find(({ form }) => isSameForm(form, this.#form));
    if (texts.length === 0) return known ?? first;
    if (second === undefined) return first;
    const older = first.waiting.message.number < second.waiting.message.number ? first : second;
    return { ...(known ?? older), isSure: false };
  }

  /** Takes note of a form; returns what it shows to be owed nothing. */
  #decide(form: ReplyForm, number: number, isSure: boolean): Message[] {
    const isFirst = this.#form === undefined;
    if (isSure) this.#form = form;
    if (this.#matching.by !== 'auto' || !isFirst || !isSure) return [];
    // A login and its welcome: what came in between answered what was sent first, in its own words.
    const released: Message[] = [];
    for (const waiting of [...this.#waiting]) {
      const { message, keys } = waiting;
      const isAnsweredOtherwise = message.number < number && this.#unclaimed > 0;
      if (isAnsweredOtherwise) this.#unclaimed -= 1;
      else if (isFoundBy(keys, form)) continue;
      this.#remove(waiting);
      released.push(message);
    }
    this.#unclaimed = 0;
    return released;
  }

  #inLikelyOrder(readings: readonly Reading[]): Reading[] {
    return readings.toSorted(
      (a, b) => Number(isSameForm(b.form, this.#form)) - Number(isSameForm(a.form, this.#form)),
    );
  }

  #settle(waiting: Waiting<Message>): void {
    this.#remove(waiting);
    const { message, keys } = waiting;
    this.#latestAnswered = Math.max(this.#latestAnswered, message.number);
    for (const key of keys) this.#answered.add(key, message);
  }

  #remove(waiting: Waiting<Message>): void {
    this.#waiting.delete(waiting);
    if (waiting.keys.length > 1) this.#identified -= 1;
    for (const key of waiting.keys) {
      const same = this.#byKey.get(key);
      same?.delete(waiting);
      if (same?.size === 0) this.#byKey.delete(key);
    }
  }
}

export interface SentMessage {
  /** 1 for the first message, rising. */
  readonly number: number;
  /** Or the key that stands for its bytes. */
  readonly text: string;
}

/** `suffix` is the integer's digits, or `null` for a reply without. */
export type ReplyVerdict<Message extends SentMessage> =
  | {
      /**
       * `reordered`: the right reply, after the reply to a message sent later.
       * `corrupt`: a wrong reply that resembles the right one.
       */
      readonly kind: 'echoed' | 'reordered' | 'corrupt';
      readonly message: Message;
      readonly suffix: string | null;
      /** What turns out to be owed no reply. */
      readonly released: readonly Message[];
    }
  /** A right reply once more. */
  | { readonly kind: 'duplicate'; readonly message: Message; readonly suffix: string | null }
  /** `unexpected`: answers nothing sent here; `ignored`: no reply, and nothing wrong with it. */
  | { readonly kind: 'unexpected' | 'ignored' };

interface Waiting<Message> {
  readonly message: Message;
  readonly keys: readonly string[];
}

interface Chosen<Message> {
  readonly form: ReplyForm;
  readonly waiting: Waiting<Message>;
  readonly suffix: string | null;
  readonly isSure: boolean;
}

/** As the generator has it: the share of a message that a corrupt reply has in common with it. */
const RESEMBLANCE = 0.5;
/** Of many that wait, the oldest: an in-order server answers those, and comparing takes time. */
const MOST_COMPARED = 64;

/** Whether a server that answers in this form can answer a message with these keys. */
function isFoundBy(keys: readonly string[], form: ReplyForm): boolean {
  return keys.some((key) => isOfForm(key, form));
}
