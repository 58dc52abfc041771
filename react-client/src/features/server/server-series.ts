import { type Cell, type TimeSeries, withGaps } from '../../lib/time-series';
import type { ServerSnapshot } from './server-snapshot';

/** Snapshots come once a second: where none came for so long, nobody knows what happened. */
const LONGEST_STEP_S = 3.5;

type Read = (snapshot: ServerSnapshot) => number | null;

/** Figures as they stood at each snapshot. */
export function levels(
  snapshots: readonly ServerSnapshot[],
  ...reads: readonly Read[]
): TimeSeries {
  return draw(
    snapshots,
    reads.map((read) => snapshots.map(read)),
  );
}

/**
 * By how much counters grew a second, from each snapshot to the next. There is no rate across a
 * restart, where counters begin again, nor across a time in which nothing was heard.
 */
export function rates(snapshots: readonly ServerSnapshot[], ...reads: readonly Read[]): TimeSeries {
  const grown = (read: Read): Cell[] =>
    snapshots.map((now, row) => {
      const before = snapshots[row - 1];
      if (before === undefined) return null;
      const [from, to] = [read(before), read(now)];
      const stepS = (now.atMs - before.atMs) / 1000;
      if (from === null || to === null || stepS <= 0 || stepS > LONGEST_STEP_S) return null;
      return isRestart(before, now) || to < from ? null : (to - from) / stepS;
    });
  return draw(snapshots, reads.map(grown));
}

/** Across a restart no line is drawn, however quick it was. */
function draw(snapshots: readonly ServerSnapshot[], columns: Cell[][]): TimeSeries {
  return withGaps({ times: snapshots.map(secondsOf), columns }, LONGEST_STEP_S, (row) => {
    const [before, now] = [snapshots[row - 1], snapshots[row]];
    return before !== undefined && now !== undefined && isRestart(before, now);
  });
}

function isRestart(before: ServerSnapshot, now: ServerSnapshot): boolean {
  return before.uptimeS !== null && now.uptimeS !== null && now.uptimeS < before.uptimeS;
}

function secondsOf({ atMs }: ServerSnapshot): number {
  return atMs / 1000;
}
