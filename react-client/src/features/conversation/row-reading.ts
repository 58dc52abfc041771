import { createContext } from 'react';

import type { ValuePath } from '../../lib/values/value-path';
import type { Decoded } from './decoders';
import { JSON_ONLY, type ReadTree } from './read-tree';

/** What rows show of a message beyond its beginning. */
export interface RowReading {
  readonly readTree: ReadTree;
  /** Reads binary messages; `null` where they are shown as hex. */
  readonly binary: {
    readonly name: string;
    readonly decode: (bytes: Uint8Array) => Decoded;
  } | null;
  /** The value that stands in a column of its own; `null` without one. */
  readonly column: { readonly caption: string; readonly path: ValuePath } | null;
}

export const PLAIN_READING: RowReading = { readTree: JSON_ONLY, binary: null, column: null };

/** By which the rows of a log learn how to be shown. */
export const RowReadingContext = createContext(PLAIN_READING);
