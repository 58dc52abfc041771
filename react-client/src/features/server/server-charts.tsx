import { useMemo } from 'react';

import { LineChart } from '../../components/line-chart';
import type { ChartLine } from '../../components/chart-kinds';
import { since, type TimeSeries } from '../../lib/time-series';
import { COUNT, MILLISECONDS, RATE, SHARE, SIZE, SIZE_RATE, type Unit } from '../../lib/units';
import { levels, rates } from './server-series';
import styles from './server-charts.module.css';
import type { ServerSnapshot } from './server-snapshot';

interface ServerChartsProps {
  snapshots: readonly ServerSnapshot[];
  /** How far back they reach. */
  windowS: number;
}

interface ChartKind {
  readonly title: string;
  readonly lines: readonly ChartLine[];
  readonly unit: Unit;
  readonly read: (snapshots: readonly ServerSnapshot[]) => TimeSeries;
  readonly note?: string;
}

const MEMORY: ChartKind = {
  title: 'Memory',
  lines: [{ label: 'Resident', colour: 'teal', style: 'area' }],
  unit: SIZE,
  read: (all) => levels(all, ({ rssBytes }) => rssBytes),
};
/** Of a server that says what it holds for its connections. */
const MEMORY_WITH_HELD: ChartKind = {
  ...MEMORY,
  lines: [...MEMORY.lines, { label: 'Held for connections', colour: 'amber' }],
  read: (all) =>
    levels(
      all,
      ({ rssBytes }) => rssBytes,
      ({ heldBytes }) => heldBytes,
    ),
};

/** One time axis for all of them: the moment under the pointer is the same everywhere. */
export const CLOCK_SYNC_KEY = 'clock';

const CHARTS: readonly ChartKind[] = [
  {
    title: 'Connections',
    lines: [
      { label: 'Open', colour: 'teal', style: 'area' },
      { label: 'In handshake', colour: 'amber' },
    ],
    unit: COUNT,
    read: (all) =>
      levels(
        all,
        ({ open }) => open,
        ({ handshaking }) => handshaking,
      ),
  },
  {
    title: 'Messages a second',
    lines: [
      { label: 'Received', colour: 'teal' },
      { label: 'Sent', colour: 'blue' },
    ],
    unit: RATE,
    read: (all) =>
      rates(
        all,
        ({ messagesReceived }) => messagesReceived,
        ({ messagesSent }) => messagesSent,
      ),
  },
  {
    title: 'Echo latency',
    lines: [
      { label: 'p50', colour: 'teal' },
      { label: 'p99', colour: 'blue' },
      { label: 'Max', colour: 'amber', isBeneath: true },
    ],
    unit: MILLISECONDS,
    note: 'Inside the server: from reading a message until its reply is written.',
    read: (all) =>
      levels(
        all,
        ({ echoMs }) => echoMs?.p50 ?? null,
        ({ echoMs }) => echoMs?.p99 ?? null,
        ({ echoMs }) => echoMs?.max ?? null,
      ),
  },
  {
    title: 'Event-loop lag',
    lines: [
      { label: 'p50', colour: 'teal' },
      { label: 'p99', colour: 'blue' },
      { label: 'Max', colour: 'amber', isBeneath: true },
    ],
    unit: MILLISECONDS,
    note: 'How late the server’s loop wakes up: its queue, before any message is read.',
    read: (all) =>
      levels(
        all,
        ({ loopLagMs }) => loopLagMs?.p50 ?? null,
        ({ loopLagMs }) => loopLagMs?.p99 ?? null,
        ({ loopLagMs }) => loopLagMs?.max ?? null,
      ),
  },
  {
    title: 'Bytes a second',
    lines: [
      { label: 'Received', colour: 'teal' },
      { label: 'Sent', colour: 'blue' },
    ],
    unit: SIZE_RATE,
    read: (all) =>
      rates(
        all,
        ({ bytesReceived }) => bytesReceived,
        ({ bytesSent }) => bytesSent,
      ),
  },
  {
    title: 'CPU',
    lines: [{ label: 'Of one core', colour: 'teal', style: 'area' }],
    unit: SHARE,
    read: (all) => rates(all, ({ cpuS }) => cpuS),
  },
  MEMORY,
  {
    title: 'Refused and ended a second',
    lines: [
      { label: 'Refused', colour: 'bad' },
      { label: 'Ended', colour: 'grey' },
    ],
    unit: RATE,
    read: (all) =>
      rates(
        all,
        ({ refused }) => total(refused),
        ({ outcomes }) => total(outcomes),
      ),
  },
];

const SHORTEST_S = 60;

/** What the server did, on its own clock. */
export function ServerCharts({ snapshots, windowS }: ServerChartsProps) {
  const nowS = (snapshots.at(-1)?.atMs ?? 0) / 1000;
  // No wider than what is known, but for the first moments.
  const knownS = Math.max(SHORTEST_S, nowS - (snapshots[0]?.atMs ?? 0) / 1000);
  const shownS = Math.min(windowS, knownS);
  const span = useMemo<readonly [number, number]>(() => [nowS - shownS, nowS], [nowS, shownS]);
  const isHeldKnown = snapshots.some(({ heldBytes }) => heldBytes !== null);
  const charts = useMemo(
    () => CHARTS.map((chart) => (chart === MEMORY && isHeldKnown ? MEMORY_WITH_HELD : chart)),
    [isHeldKnown],
  );
  const all = useMemo(
    () => charts.map(({ read }) => since(read(snapshots), span[0])),
    [charts, snapshots, span],
  );
  return (
    <div className={styles.charts}>
      {charts.map(({ title, lines, unit, note }, index) => {
        const series = all[index];
        return (
          series !== undefined && (
            <LineChart
              key={title}
              title={title}
              lines={lines}
              unit={unit}
              {...(note !== undefined && { note })}
              series={series}
              span={span}
              syncKey={CLOCK_SYNC_KEY}
            />
          )
        );
      })}
    </div>
  );
}

function total(tally: Readonly<Record<string, number>>): number {
  return Object.values(tally).reduce((sum, count) => sum + count, 0);
}
