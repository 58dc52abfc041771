/** Bounds on what is kept to tell a duplicate from an unexpected reply. */
export const ANSWERED_MESSAGES_KEPT = 10_000;
const ANSWERED_CHARACTERS_KEPT = 16_000_000;

/** The messages answered last, by what their replies are found by. */
export class RecentlyAnswered<Message> {
  // A Map iterates in the order of insertion, so its first entry is the one to forget.
  readonly #byKey = new Map<string, Message>();
  #characters = 0;

  find(key: string): Message | undefined {
    return this.#byKey.get(key);
  }

  add(key: string, message: Message): void {
    this.#forget(key);
    this.#byKey.set(key, message);
    this.#characters += key.length;
    for (const oldest of this.#byKey.keys()) {
      const isWithinBounds =
        this.#byKey.size <= ANSWERED_MESSAGES_KEPT && this.#characters <= ANSWERED_CHARACTERS_KEPT;
      if (isWithinBounds) break;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    if (this.#byKey.delete(key)) this.#characters -= key.length;
  }
}
