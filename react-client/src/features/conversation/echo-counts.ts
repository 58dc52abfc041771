/**
 * Every message sent is in exactly one column and so is every frame received, by the names of the
 * generator's ledger:
 * `sent = echoed + reordered + corrupt + lost + oneWay + waiting`,
 * `received = echoed + reordered + corrupt + duplicate + unexpected + ignored`.
 */
export interface EchoCounts extends Tally {
  readonly waiting: number;
}

export interface Tally {
  readonly sent: number;
  readonly received: number;
  readonly echoed: number;
  readonly reordered: number;
  /** Wrong replies that resemble the right one. */
  readonly corrupt: number;
  readonly duplicate: number;
  readonly unexpected: number;
  /** No replies, and nothing wrong with them: pushes, greetings. */
  readonly ignored: number;
  readonly lost: number;
  /** Sent without a reply being owed, as far as one knows. */
  readonly oneWay: number;
}

export const NOTHING_COUNTED: Tally = {
  sent: 0,
  received: 0,
  echoed: 0,
  reordered: 0,
  corrupt: 0,
  duplicate: 0,
  unexpected: 0,
  ignored: 0,
  lost: 0,
  oneWay: 0,
};

/** What went wrong, in all. */
export function faultsIn(counts: Tally): number {
  const { lost, unexpected, duplicate, reordered, corrupt } = counts;
  return lost + unexpected + duplicate + reordered + corrupt;
}

/** The sum of two tallies, column by column. */
export function addTallies(one: Tally, other: Tally): Tally {
  const columns = Object.keys(NOTHING_COUNTED) as (keyof Tally)[];
  const sums = columns.map((column) => [column, one[column] + other[column]] as const);
  return Object.fromEntries(sums) as unknown as Tally;
}
