import { type ComponentType, lazy } from 'react';

interface PartModule<Props> {
  readonly default: ComponentType<Props>;
}

const loads: (() => Promise<unknown>)[] = [];

/** A part of the page that comes when it is first asked for, or by `fetchLazyParts`. */
export function lazyPart<Props>(load: () => Promise<PartModule<Props>>) {
  loads.push(load);
  return lazy(load);
}

/** The name of the performance mark that says that every part is here. */
export const PARTS_FETCHED = 'lazy-parts-fetched';

/**
 * Fetches all parts that were not asked for yet, and leaves the mark `PARTS_FETCHED` once all have
 * come. They come from the server that one debugs: once it has gone, the log should still open, be
 * exported and be compared.
 */
export async function fetchLazyParts(): Promise<void> {
  const outcomes = await Promise.allSettled(loads.map((load) => load()));
  if (outcomes.every(({ status }) => status === 'fulfilled')) performance.mark(PARTS_FETCHED);
}
