import type { ValueTree } from './value-tree';

/** What cannot be read, and at which byte, from 0. */
export interface ByteProblem {
  readonly at: number;
  readonly what: string;
}

/** What a decoder makes of bytes. */
export interface BinaryReading {
  /** `null` where nothing could be read. */
  readonly tree: ValueTree | null;
  /** Beside a tree: of what comes after it. */
  readonly problem: ByteProblem | null;
}

/** Thrown inside of decoders; what they return says it as a `ByteProblem`. */
export class CannotRead extends Error {
  readonly at: number;

  constructor(at: number, what: string) {
    super(what);
    this.at = at;
  }
}

/** Runs a decoder that throws `CannotRead`. */
export function readingOf(read: () => BinaryReading): BinaryReading {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CannotRead)) throw error;
    return { tree: null, problem: { at: error.at, what: error.message } };
  }
}
