import type { ServerSnapshot } from './server-snapshot';

/** What faults of one name have done. */
export interface FaultCount {
  /** Messages that came to them. */
  readonly seen: number;
  /** How often they did what they are for. */
  readonly acted: number;
}

export interface CountsSinceThen {
  /** From when on, on the server's clock; `null` for since its start. */
  readonly sinceMs: number | null;
  /** By the name of the fault, such as `up-delay`. */
  readonly counts: ReadonlyMap<string, FaultCount>;
}

/**
 * Counts what faults have done since those that hold were applied, as far back as the snapshots
 * go. They come once a second: up to a second of what held before is counted with it.
 */
export function countsSinceApplied(snapshots: readonly ServerSnapshot[]): CountsSinceThen {
  const latest = snapshots.at(-1);
  if (latest === undefined) return { sinceMs: null, counts: new Map() };
  let first = snapshots.length - 1;
  while (first > 0 && isSameSpell(snapshots[first - 1], snapshots[first])) first -= 1;
  const before = snapshots[first - 1];
  // A server that was started anew counts from zero, with whatever it holds.
  const isAfterStart = before !== undefined && isRestart(before, snapshots[first]);
  const base = isAfterStart ? undefined : (before ?? baseOfHistory(snapshots[first]));
  const counts = new Map<string, FaultCount>();
  for (const [name, seen] of Object.entries(latest.faultsSeen)) {
    counts.set(name, {
      seen: seen - (base?.faultsSeen[name] ?? 0),
      acted: (latest.faultsActed[name] ?? 0) - (base?.faultsActed[name] ?? 0),
    });
  }
  return { sinceMs: base === undefined ? null : (snapshots[first]?.atMs ?? null), counts };
}

/** Whether the same faults hold in both, and the same server counts. */
function isSameSpell(before: ServerSnapshot | undefined, now: ServerSnapshot | undefined): boolean {
  return before?.faults === now?.faults && !isRestart(before, now);
}

function isRestart(before: ServerSnapshot | undefined, now: ServerSnapshot | undefined): boolean {
  return (before?.uptimeS ?? 0) > (now?.uptimeS ?? Infinity);
}

/** Within its first seconds a server has not counted anything that is not told. */
const FRESH_S = 3;

function baseOfHistory(first: ServerSnapshot | undefined): ServerSnapshot | undefined {
  return (first?.uptimeS ?? Infinity) < FRESH_S ? undefined : first;
}
