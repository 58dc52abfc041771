import { formatCount, formatPlural } from '../../lib/figures';
import type { Entry } from './conversation';

interface LogShown {
  /** What a pause holds on the screen, or `null`. */
  readonly held: readonly Entry<unknown>[] | null;
  readonly live: readonly Entry<unknown>[];
  readonly dropped: number;
  /** What passes the filter, or `null` without one. */
  readonly passing: readonly Entry<unknown>[] | null;
  /** Entries of which the filter does not know yet. */
  readonly pending?: number;
}

/** How much there is, what of it is shown, and what is missing: nothing goes in silence. */
export function logSummary({ held, live, dropped, passing, pending = 0 }: LogShown): string {
  const parts: string[] = [];
  const shown = held ?? live;
  if (passing !== null) {
    parts.push(
      `${formatCount(messagesIn(passing))} of ${formatCount(messagesIn(shown))} messages pass`,
    );
  } else if (dropped === 0) {
    parts.push(formatPlural(shown.length, 'entry', 'entries'));
  }
  if (passing !== null && pending > 0) {
    parts.push(`${formatCount(pending)} still to look through`);
  }
  if (dropped > 0) {
    parts.push(`showing the last ${formatCount(shown.length)}; ${formatCount(dropped)} dropped`);
  }
  if (held !== null) {
    const since = (live.at(-1)?.id ?? -1) - (held.at(-1)?.id ?? -1);
    parts.push(`${formatCount(Math.max(0, since))} new while paused`);
  }
  const [first = '', ...rest] = parts;
  return [first.charAt(0).toUpperCase() + first.slice(1), ...rest].join(' · ');
}

/** Without what happened to the connection, which always passes. */
function messagesIn(entries: readonly Entry<unknown>[]): number {
  return entries.reduce((count, { kind }) => count + Number(kind !== 'notice'), 0);
}
