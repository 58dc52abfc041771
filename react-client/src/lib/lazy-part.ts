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

/** A module of the page that comes when it is first asked for, or by `fetchLazyParts`. */
export function lazyModule<Module>(load: () => Promise<Module>): () => Promise<Module> {
  loads.push(load);
  return load;
}

/** The name of the performance mark that says that every part is here. */
export const PARTS_FETCHED = 'lazy-parts-fetched';

/**
 * Fetches all parts that were not asked for yet, those that only a fetched part names among them,
 * and leaves the mark `PARTS_FETCHED` once all have come. They come from the server that one
 * debugs: once it has gone, the log should still open, be exported and be compared. A part that
 * does not come is asked for again by who opens it.
 */
export async function fetchLazyParts(): Promise<void> {
  let fetched = 0;
  let haveAllCome = true;
  while (fetched < loads.length) {
    const next = loads.slice(fetched);
    fetched = loads.length;
    const outcomes = await Promise.allSettled(next.map((load) => load()));
    haveAllCome &&= outcomes.every(({ status }) => status === 'fulfilled');
  }
  if (haveAllCome) performance.mark(PARTS_FETCHED);
}

/** Whether the browser was told to save data (the Network Information API; not every browser has it). */
export function savesData(): boolean {
  const { connection } = navigator as { connection?: { saveData?: boolean } };
  return connection?.saveData === true;
}
