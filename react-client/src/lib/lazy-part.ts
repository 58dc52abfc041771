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

/**
 * Fetches all parts that were not asked for yet. They come from the server that one debugs: once
 * it has gone, the log should still open, be exported and be compared.
 */
export async function fetchLazyParts(): Promise<void> {
  await Promise.allSettled(loads.map((load) => load()));
}
