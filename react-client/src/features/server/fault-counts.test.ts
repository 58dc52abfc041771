import { expect, it } from 'vitest';

import { countsSinceApplied } from './fault-counts';
import { readServerSnapshot, type ServerSnapshot } from './server-snapshot';

let atS = 0;
function snapshot(faults: string, uptimeS: number, seen: number): ServerSnapshot {
  atS += 1;
  const told = { t_ms: 1000 * atS, uptime_s: uptimeS, faults };
  const counts = { faults_seen: { drop: seen }, faults_acted: { drop: seen / 10 } };
  const read = readServerSnapshot({ ...told, ...counts });
  if (read === null) throw new Error('no snapshot');
  return read;
}

const counted = (snapshots: readonly ServerSnapshot[]) => {
  const { sinceMs, counts } = countsSinceApplied(snapshots);
  return [sinceMs, counts.get('drop')?.seen ?? null, counts.get('drop')?.acted ?? null];
};

it('counts from the moment at which the faults that hold were applied', () => {
  const a = snapshot('', 100, 50);
  const b = snapshot('~drop/9', 101, 60);
  const c = snapshot('~drop/9', 102, 70);
  const d = snapshot('~drop/9', 103, 90);
  expect(counted([a, b, c, d])).toEqual([b.atMs, 40, 4]);
  // Of a page that came later: from the first that it knows.
  expect(counted([b, c, d])).toEqual([b.atMs, 30, 3]);
  expect(counted([])).toEqual([null, null, null]);
});

it('counts since the start of a server that was started with them, or anew', () => {
  const young = [snapshot('~drop/9', 0.5, 10), snapshot('~drop/9', 1.5, 20)];
  expect(counted(young)).toEqual([null, 20, 2]);
  expect(counted([snapshot('~drop/9', 500, 900), ...young])).toEqual([null, 20, 2]);
});
