import { type ReactNode, Suspense, useEffect, useState } from 'react';

import { Absence } from '../../components/absence';
import { ErrorBoundary } from '../../components/error-boundary';
import { type Stat, StatTiles } from '../../components/stat-tiles';
import { Tally, type TallyRow } from '../../components/tally';
import { VisuallyHidden } from '../../components/visually-hidden';
import hidden from '../../components/visually-hidden.module.css';
import {
  formatCount,
  formatMilliseconds,
  formatRate,
  formatShare,
  formatSize,
} from '../../lib/figures';
import { useStore } from '../../lib/frame-store';
import { lazyPart } from '../../lib/lazy-part';
import { remember, remembered } from '../../lib/remembered';
import { Behaviours } from './behaviours';
import { FeedStatus, TokenForm } from './feed-status';
import type { LiveFeed } from './live-feed';
import { NurseryView } from './nursery-view';
import { ServerCharts } from './server-charts';
import { rates } from './server-series';
import type { ServerSnapshot } from './server-snapshot';
import styles from './server-view.module.css';
import { outcomeWords, reasonWords } from './server-words';

interface ServerViewProps {
  feed: LiveFeed;
  /** Connects the chat to a path of this server. */
  onTry: (path: string) => void;
  /** What a close code is called. */
  nameCloseCode: (code: number) => string;
  /** How to start a server, for when none answers. */
  help: ReactNode;
}

// Proxies alone have faults.
const FaultsPanel = lazyPart(() => import('./faults-panel'));

const WINDOWS = [
  { seconds: 120, caption: '2 min' },
  { seconds: 600, caption: '10 min' },
  { seconds: 3_600, caption: '1 h' },
] as const;
const WINDOW_KEY = 'echo-trio.server-window';

/** The running server, second by second. */
export default function ServerView({ feed, onTry, nameCloseCode, help }: ServerViewProps) {
  const { state, snapshots } = useStore(feed.store);
  const [windowS, setWindowS] = useState(() => Number(remembered(WINDOW_KEY) ?? 600));
  useEffect(() => {
    feed.start();
  }, [feed]);

  const latest = snapshots.at(-1);
  const retry = () => {
    feed.retryNow();
  };
  return (
    <div className={styles.view}>
      <header className={styles.header}>
        <div>
          <h2>
            <VisuallyHidden>The server, live</VisuallyHidden>
          </h2>
          <FeedStatus state={state} latest={latest} onRetry={retry} />
        </div>
        {latest !== undefined && (
          <fieldset className={styles.windows}>
            <legend className={hidden.hidden}>Shown</legend>
            {WINDOWS.map(({ seconds, caption }) => (
              <label key={seconds} className={styles.window}>
                <input
                  type="radio"
                  name="server-window"
                  checked={windowS === seconds}
                  onChange={() => {
                    setWindowS(seconds);
                    remember(WINDOW_KEY, String(seconds));
                  }}
                />
                {caption}
              </label>
            ))}
          </fieldset>
        )}
      </header>
      {state.phase === 'locked' && <TokenForm wasRefused={state.wasRefused} onToken={retry} />}
      {latest === undefined ? (
        state.phase === 'waiting' && (
          <Absence title="No server to watch yet">
            <p>
              This view shows the figures of the server whose console serves this page: connections,
              messages, latency, memory, and the tree of its tasks.
            </p>
            {help}
          </Absence>
        )
      ) : (
        <>
          <StatTiles label="Now" stats={statsOf(snapshots, latest, state.phase === 'live')} />
          {latest.faults !== null && (
            <ErrorBoundary part="The panel of faults">
              <Suspense>
                <FaultsPanel snapshots={snapshots} isLive={state.phase === 'live'} />
              </Suspense>
            </ErrorBoundary>
          )}
          <ServerCharts snapshots={snapshots} windowS={windowS} />
          <div className={styles.tallies}>
            <Tally title="Ended by outcome" rows={rowsOf(latest.outcomes, outcomeWords)} />
            <Tally
              title="Close codes"
              rows={rowsOf(latest.closeCodes, (code) => ({
                name: code,
                meaning: nameCloseCode(Number(code)),
              }))}
            />
            <Tally title="Refused" rows={refusals(latest)} />
          </div>
          <div className={styles.workbench}>
            <NurseryView />
            {/* The paths of a proxy are its upstream's. */}
            {latest.faults === null && <Behaviours onTry={onTry} />}
          </div>
        </>
      )}
    </div>
  );
}

function statsOf(
  snapshots: readonly ServerSnapshot[],
  latest: ServerSnapshot,
  isLive: boolean,
): Stat[] {
  // Of a server that has gone, nothing is known now.
  const now = <T,>(value: T | null | undefined): T | null => (isLive ? (value ?? null) : null);
  const show = (value: number | null, format: (value: number) => string) =>
    value === null ? null : format(value);
  const lately = rates(
    snapshots.slice(-2),
    ({ messagesReceived }) => messagesReceived,
    ({ cpuS }) => cpuS,
  ).columns.map((column) => now(column.at(-1)));
  const [messages = null, cpu = null] = lately;
  const { peakOpen, descriptors, fileLimit, messagesPushed, messagesUndelivered } = latest;
  return [
    {
      name: 'Open connections',
      value: show(now(latest.open), formatCount),
      ...(peakOpen !== null && { detail: `peak ${formatCount(peakOpen)}` }),
    },
    { name: 'Messages in', value: show(messages, formatRate) },
    // Most servers push nothing.
    ...(messagesPushed === null || messagesPushed === 0
      ? []
      : [
          {
            name: 'Pushed',
            value: show(now(messagesPushed), formatCount),
            detail: `${formatCount(messagesUndelivered ?? 0)} undelivered`,
          },
        ]),
    { name: 'Echo, p99', value: show(now(latest.echoMs?.p99), formatMilliseconds) },
    { name: 'Loop lag, p99', value: show(now(latest.loopLagMs?.p99), formatMilliseconds) },
    { name: 'CPU', value: show(cpu, formatShare), detail: 'of a core' },
    {
      name: 'Memory',
      value: show(now(latest.rssBytes), formatSize),
    },
    // Servers before this figure say nothing of it.
    ...(latest.heldBytes === null
      ? []
      : [
          {
            name: 'Held',
            value: show(now(latest.heldBytes), formatSize),
            detail: 'for connections',
          },
        ]),
    {
      name: 'Descriptors',
      value: show(now(descriptors), formatCount),
      ...(fileLimit !== null && { detail: `of ${formatCount(fileLimit)}` }),
    },
  ];
}

function rowsOf(
  tally: Readonly<Record<string, number>>,
  wordsOf: (key: string) => Pick<TallyRow, 'name' | 'meaning'>,
): TallyRow[] {
  return Object.entries(tally)
    .sort(([, a], [, b]) => b - a)
    .map(([key, count]) => ({ ...wordsOf(key), count }));
}

function refusals({ refused, refusedReasons }: ServerSnapshot): TallyRow[] {
  const reasons = Object.entries(refusedReasons).map(([reason, count]) => ({
    name: reasonWords(reason),
    count,
  }));
  const statuses = Object.entries(refused).map(([status, count]) => ({
    name: status,
    count,
    meaning: 'HTTP status',
  }));
  return [...statuses, ...reasons].map((row) => ({ ...row, tone: 'bad' as const }));
}
