import { useMemo } from 'react';

import { LineChart } from '../components/line-chart';
import type { ChartLine } from '../components/chart-kinds';
import type { RunFigures } from '../features/load/run-figures';
import { runSeries } from '../features/load/run-series';
import type { LiveFeed } from '../features/server/live-feed';
import { levels } from '../features/server/server-series';
import { type Store, useStore } from '../lib/frame-store';
import { onWholeSeconds, since, type TimeSeries } from '../lib/time-series';
import { COUNT, MILLISECONDS } from '../lib/units';
import styles from './one-clock.module.css';

interface OneClockProps {
  chat: Store<TimeSeries>;
  feed: LiveFeed;
  run: RunFigures | null;
  syncKey: string;
}

/** Without a run, what was lately. */
const LATELY_S = 120;
/** Around a run that is over: what the server was like before and after. */
const MARGIN_S = 8;

const LATENCY: readonly ChartLine[] = [
  { label: 'My chat', colour: 'rose', style: 'dots' },
  { label: 'Run, p99', colour: 'blue' },
  { label: 'Server’s echo, p99', colour: 'teal' },
];
const CONNECTIONS: readonly ChartLine[] = [
  { label: 'At the server', colour: 'teal' },
  { label: 'Of the run', colour: 'blue', style: 'dashed' },
];
const LAG: readonly ChartLine[] = [
  { label: 'Server, max', colour: 'teal' },
  { label: 'Generator, max', colour: 'amber' },
];

/** My own latency, the server's figures and the load run, on the server's clock. */
export function OneClock({ chat, feed, run, syncKey }: OneClockProps) {
  const { snapshots, clockSkewMs } = useStore(feed.store);
  const chatLatency = useStore(chat);
  const nowS = (snapshots.at(-1)?.atMs ?? 0) / 1000;
  const [fromS, toS] = spanOf(run, nowS);

  const drawn = useMemo(() => {
    const mine = {
      times: chatLatency.times.map((time) => time - clockSkewMs / 1000),
      columns: chatLatency.columns,
    };
    const server = {
      echo: levels(snapshots, ({ echoMs }) => echoMs?.p99 ?? null),
      open: levels(snapshots, ({ open }) => open),
      lag: levels(snapshots, ({ loopLagMs }) => loopLagMs?.max ?? null),
    };
    const load = runSeries(run?.series ?? [], run?.startedAtS ?? 0);
    const only = ({ times, columns }: TimeSeries, column: number) => ({
      times,
      columns: [columns[column] ?? []],
    });
    const within = (all: readonly TimeSeries[]) =>
      onWholeSeconds(all.map((one) => upTo(since(one, fromS), toS)));
    return {
      latency: within([mine, only(load.latency, 1), server.echo]),
      connections: within([server.open, only(load.sockets, 0)]),
      lag: within([server.lag, load.lag]),
    };
  }, [chatLatency, clockSkewMs, snapshots, run, fromS, toS]);

  const span = useMemo<readonly [number, number]>(() => [fromS, toS], [fromS, toS]);
  const shared = { span, syncKey, heightPx: 140, isLive: (run?.report ?? null) === null };
  return (
    <section className={styles.clock} aria-labelledby="one-clock">
      <h2 id="one-clock" className={styles.title}>
        On one clock
        <span className={styles.lead}>your chat, the server and the run, moment by moment</span>
      </h2>
      <LineChart
        {...shared}
        title="Latency, three ways"
        lines={LATENCY}
        series={drawn.latency}
        unit={MILLISECONDS}
        {...(chatLatency.times.length === 0 && {
          note: 'Connect the chat and say something during a run: each round trip is a dot in here.',
        })}
      />
      <div className={styles.pair}>
        <LineChart
          {...shared}
          title="Connections"
          lines={CONNECTIONS}
          series={drawn.connections}
          unit={COUNT}
        />
        <LineChart
          {...shared}
          title="Event loops’ lag"
          lines={LAG}
          series={drawn.lag}
          unit={MILLISECONDS}
        />
      </div>
    </section>
  );
}

function spanOf(run: RunFigures | null, nowS: number): [number, number] {
  if (run === null) return [nowS - LATELY_S, nowS];
  const lastS = run.startedAtS + (run.series.at(-1)?.t_s ?? 0);
  return [
    run.startedAtS - MARGIN_S,
    run.report === null ? Math.max(nowS, lastS) : lastS + MARGIN_S,
  ];
}

function upTo({ times, columns }: TimeSeries, toS: number): TimeSeries {
  const end = times.findIndex((time) => time > toS);
  if (end === -1) return { times, columns };
  return { times: times.slice(0, end), columns: columns.map((column) => column.slice(0, end)) };
}
