import { toBase64 } from '../../../lib/base64';
import type { Outgoing } from '../../../lib/send-plan';

/** As `POST /api/dial/{id}` takes it. */
export type SendItem =
  | {
      readonly kind: 'text' | 'binary';
      readonly text?: string;
      readonly base64?: string;
      readonly ticket?: number;
      readonly more?: boolean;
    }
  | { readonly kind: 'close'; readonly code: number; readonly text: string };

/** A request has 64 KiB at most; this leaves room for what is around the payloads. */
const REQUEST_CHARACTERS = 48 * 1024;
/** Of a part in base64, so that each has a request to itself at the most. */
const PART_BYTES = 32 * 1024;
/** In JSON a character takes six of them at the most, as an escape does. */
const SHORT_TEXT = REQUEST_CHARACTERS / 6;
/** Above this one has to wait; a plan is stopped. */
export const MOST_WAITING_CHARACTERS = 8 * 2 ** 20;

/** Cuts a message into items that fit into a request each. */
export function itemsOf(data: Outgoing, ticket: number): readonly SendItem[] {
  if (typeof data === 'string' && data.length <= SHORT_TEXT) {
    return [{ kind: 'text', text: data, ticket }];
  }
  const kind = typeof data === 'string' ? 'text' : 'binary';
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  const items: SendItem[] = [];
  for (let from = 0; from === 0 || from < bytes.length; from += PART_BYTES) {
    const base64 = toBase64(bytes.subarray(from, from + PART_BYTES));
    const isLast = from + PART_BYTES >= bytes.length;
    items.push(isLast ? { kind, base64, ticket } : { kind, base64, more: true });
  }
  return items;
}

interface Waiting {
  readonly text: string;
  readonly ticket: number | undefined;
}

/**
 * What is to be sent, in order: one request at a time, and all that came meanwhile in the next, so
 * that many messages do not take a request each.
 */
export class SendQueue {
  readonly #post: (body: string) => Promise<void>;
  readonly #onUnsent: (tickets: readonly number[], error: unknown) => void;
  #waiting: Waiting[] = [];
  #waitingCharacters = 0;
  #isPosting = false;

  /** @param post fails where nothing, or not all, was sent. */
  constructor(
    post: (body: string) => Promise<void>,
    onUnsent: (tickets: readonly number[], error: unknown) => void,
  ) {
    this.#post = post;
    this.#onUnsent = onUnsent;
  }

  get isFull(): boolean {
    return this.#waitingCharacters > MOST_WAITING_CHARACTERS;
  }

  add(items: readonly SendItem[]): void {
    for (const item of items) {
      const text = JSON.stringify(item);
      this.#waiting.push({ text, ticket: 'ticket' in item ? item.ticket : undefined });
      this.#waitingCharacters += text.length;
    }
    if (!this.#isPosting) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isPosting = true;
    while (this.#waiting.length > 0) {
      const batch = this.#take();
      try {
        await this.#post(`{"items":[${batch.map(({ text }) => text).join(',')}]}`);
      } catch (error) {
        const tickets = batch.flatMap(({ ticket }) => (ticket === undefined ? [] : [ticket]));
        this.#onUnsent(tickets, error);
      }
    }
    this.#isPosting = false;
  }

  #take(): readonly Waiting[] {
    let characters = 0;
    let count = 0;
    for (const { text } of this.#waiting) {
      if (count > 0 && characters + text.length > REQUEST_CHARACTERS) break;
      characters += text.length;
      count += 1;
    }
    this.#waitingCharacters -= characters;
    return this.#waiting.splice(0, count);
  }
}
