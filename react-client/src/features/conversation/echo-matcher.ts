/**
 * Pairs every reply with the message it answers, and says what the reply was worth.
 *
 * The contract: text `m` comes back as `m`, one space and a decimal integer 0 ≤ n < 1000000
 * without leading zeros, or, from an exact echo, as `m`; the order is kept on one connection.
 *
 * A reply therefore fits at most two texts: itself, and itself less its suffix. When both are
 * waiting ("1" and "1 2" sent, "1 2" received), the form in which this connection was last seen
 * to reply beyond doubt decides, and before that the older message, for which an in-order server
 * must be answering. Either way, a server that keeps the contract is never accused wrongly.
 *
 * A binary reply is the same bytes with the same appended in ASCII; the key that stands for its
 * bytes here (see `matchKey`) ends in the suffix as a text does, and never equals a text.
 *
 * What no client can know: which of several identical waiting texts a reply is for. The oldest
 * is taken, so if the server swallowed one of them, the counts stay right and the round-trip
 * times of the others come out too long.
 */
export class EchoMatcher<Message extends SentMessage> {
  readonly #waiting = new Map<string, Message[]>();
  readonly #answered = new RecentlyAnswered<Message>();
  #waitingCount = 0;
  #latestAnswered = -Infinity;
  #form: ReplyForm | undefined;

  get waitingCount(): number {
    return this.#waitingCount;
  }

  /** Message numbers must rise from call to call. */
  expectReply(message: Message): void {
    const sameText = this.#waiting.get(message.text);
    if (sameText === undefined) this.#waiting.set(message.text, [message]);
    else sameText.push(message);
    this.#waitingCount += 1;
  }

  judge(reply: string): ReplyVerdict<Message> {
    const readings = readingsOf(reply);

    const chosen = this.#choose(readings);
    if (chosen !== undefined) {
      const isReordered = chosen.message.number < this.#latestAnswered;
      this.#settle(chosen.message);
      return { kind: isReordered ? 'reordered' : 'echoed', ...chosen };
    }

    for (const { text, suffix } of this.#inLikelyOrder(readings)) {
      const message = this.#answered.find(text);
      if (message !== undefined) return { kind: 'duplicate', message, suffix };
    }
    return { kind: 'unexpected' };
  }

  /** Every message still unanswered, oldest first; they are no longer waited for. */
  giveUp(): Message[] {
    const lost = [...this.#waiting.values()].flat().sort((a, b) => a.number - b.number);
    this.#waiting.clear();
    this.#waitingCount = 0;
    return lost;
  }

  #choose(readings: readonly Reading[]): { message: Message; suffix: string | null } | undefined {
    const candidates = readings.flatMap(({ form, text, suffix }) => {
      const message = this.#waiting.get(text)?.[0];
      return message === undefined ? [] : [{ form, message, suffix }];
    });
    const [first, second] = candidates;
    if (first === undefined) return undefined;
    if (second === undefined) {
      this.#form = first.form;
      return { message: first.message, suffix: first.suffix };
    }
    const known = candidates.find(({ form }) => form === this.#form);
    const older = first.message.number < second.message.number ? first : second;
    const { message, suffix } = known ?? older;
    return { message, suffix };
  }

  #inLikelyOrder(readings: readonly Reading[]): Reading[] {
    return readings.toSorted(
      (a, b) => Number(b.form === this.#form) - Number(a.form === this.#form),
    );
  }

  #settle(message: Message): void {
    const sameText = this.#waiting.get(message.text);
    sameText?.shift();
    if (sameText?.length === 0) this.#waiting.delete(message.text);
    this.#waitingCount -= 1;
    this.#latestAnswered = Math.max(this.#latestAnswered, message.number);
    this.#answered.add(message);
  }
}

export interface SentMessage {
  /** 1 for the first message, rising. */
  readonly number: number;
  /** Or the key that stands for its bytes. */
  readonly text: string;
}

/** `suffix` is the integer's digits, or `null` for an exact echo. */
export type ReplyVerdict<Message extends SentMessage> =
  | {
      /**
       * `reordered`: the right reply, after the reply to a message sent later.
       * `duplicate`: a right reply once more.
       */
      readonly kind: 'echoed' | 'reordered' | 'duplicate';
      readonly message: Message;
      readonly suffix: string | null;
    }
  /** Answers nothing sent on this connection (or something answered very long ago). */
  | { readonly kind: 'unexpected' };

type ReplyForm = 'exact' | 'suffixed';

interface Reading {
  readonly form: ReplyForm;
  readonly text: string;
  readonly suffix: string | null;
}

const SUFFIX = / (0|[1-9][0-9]{0,5})$/;

function readingsOf(reply: string): Reading[] {
  const exact: Reading = { form: 'exact', text: reply, suffix: null };
  const match = SUFFIX.exec(reply);
  const suffix = match?.[1];
  if (match === null || suffix === undefined) return [exact];
  return [{ form: 'suffixed', text: reply.slice(0, match.index), suffix }, exact];
}

/** Bounds on what is kept to tell a duplicate from an unexpected reply. */
export const ANSWERED_MESSAGES_KEPT = 10_000;
const ANSWERED_CHARACTERS_KEPT = 16_000_000;

class RecentlyAnswered<Message extends SentMessage> {
  // A Map iterates in the order of insertion, so its first entry is the one to forget.
  readonly #byText = new Map<string, Message>();
  #characters = 0;

  find(text: string): Message | undefined {
    return this.#byText.get(text);
  }

  add(message: Message): void {
    this.#forget(message.text);
    this.#byText.set(message.text, message);
    this.#characters += message.text.length;
    for (const oldest of this.#byText.keys()) {
      const isWithinBounds =
        this.#byText.size <= ANSWERED_MESSAGES_KEPT && this.#characters <= ANSWERED_CHARACTERS_KEPT;
      if (isWithinBounds) break;
      this.#forget(oldest);
    }
  }

  #forget(text: string): void {
    if (this.#byText.delete(text)) this.#characters -= text.length;
  }
}
