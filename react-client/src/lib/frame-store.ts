import { useSyncExternalStore } from 'react';

import { onNextFrame } from './next-frame';

/** What React reads: one immutable snapshot at a time. */
export interface Store<Snapshot> {
  readonly subscribe: (listener: () => void) => () => void;
  readonly getSnapshot: () => Snapshot;
}

/**
 * Turns any number of changes into at most one new snapshot per frame, so that a flood of
 * messages costs one rendering, not one per message.
 */
export class FrameStore<Snapshot> implements Store<Snapshot> {
  readonly #takeSnapshot: () => Snapshot;
  readonly #schedule: (publish: () => void) => void;
  readonly #listeners = new Set<() => void>();
  #snapshot: Snapshot;
  #isScheduled = false;

  constructor(takeSnapshot: () => Snapshot, schedule: (publish: () => void) => void = onNextFrame) {
    this.#takeSnapshot = takeSnapshot;
    this.#schedule = schedule;
    this.#snapshot = takeSnapshot();
  }

  /** Asks for a new snapshot; further calls before it is published add nothing. */
  markChanged(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(() => {
      this.#isScheduled = false;
      this.#snapshot = this.#takeSnapshot();
      for (const listener of this.#listeners) listener();
    });
  }

  // Arrow functions, because React is handed these two without their object.
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly getSnapshot = (): Snapshot => this.#snapshot;
}

/** The store's present snapshot; renders again whenever a new one is published. */
export function useStore<Snapshot>(store: Store<Snapshot>): Snapshot {
  return useSyncExternalStore(store.subscribe, store.getSnapshot);
}
