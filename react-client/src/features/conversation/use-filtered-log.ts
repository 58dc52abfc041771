import { useEffect, useMemo, useReducer } from 'react';

import { onNextFrame } from '../../lib/next-frame';
import type { Entry } from './conversation';
import { FilteredLog, type MessageTest } from './log-filter';

/** So long the page looks through the log before it draws what it has found so far. */
const PIECE_MS = 12;

interface Filtered<Notice> {
  readonly entries: readonly Entry<Notice>[];
  /** Entries that were not looked at yet. */
  readonly pending: number;
}

/** The entries that pass, of a long log piece by piece: the page answers all the while. */
export function useFilteredLog<Notice>(
  passes: MessageTest | null,
  entries: readonly Entry<Notice>[],
): Filtered<Notice> {
  const log = useMemo(() => new FilteredLog<Notice>(passes), [passes]);
  const [piece, lookFurther] = useReducer((count: number) => count + 1, 0);
  const found = useMemo(() => {
    const passing = log.applyFor(entries, PIECE_MS);
    return { entries: passing, pending: log.pending, piece };
  }, [log, entries, piece]);

  useEffect(() => {
    if (found.pending > 0) onNextFrame(lookFurther);
  }, [found]);
  return found;
}
