import type { LoadChange, LoadNow } from './load-changes';
import type { Latencies, Plan, RunReport, RunSnapshot, Second, Summary } from './run-report';

/** A run as the page shows it, be it under way or over. */
export interface RunFigures {
  /** `over` once there is a report. */
  readonly phase: string;
  readonly plan: Plan;
  /** When its clock began, Unix seconds on the server's clock. */
  readonly startedAtS: number;
  /** For how long the load has gone on, to the second; `null` before it began, and afterwards. */
  readonly loadForS: number | null;
  readonly sockets: SocketFigures;
  readonly messages: MessageFigures;
  readonly latency: Latencies;
  /** `null` while the run goes on. */
  readonly connectMs: Summary | null;
  readonly series: readonly Second[];
  readonly report: RunReport | null;
  /** The rate of a load under way; `null` or missing when it is over. */
  readonly load?: LoadNow | null;
  /** Of the load by hand. */
  readonly changes?: readonly LoadChange[];
}

/** `requested = opened + Σ failed + notAttempted + opening`, `opened = open + Σ closed`. */
interface SocketFigures {
  readonly requested: number;
  readonly opened: number;
  readonly open: number;
  readonly opening: number;
  readonly notAttempted: number;
  readonly failed: Readonly<Record<string, number>>;
  readonly closed: Readonly<Record<string, number>>;
}

/** `sent` = echoed + reordered + corrupt + lost + inFlight + awaited + one_way + published. */
interface MessageFigures {
  readonly sent: number;
  readonly received: number;
  readonly echoed: number;
  readonly reordered: number;
  readonly corrupt: number;
  readonly lost: number;
  readonly inFlight: number;
  readonly awaited: number;
  readonly duplicate: number;
  readonly unexpected: number;
  readonly one_way?: number;
  readonly published?: number;
  readonly expected?: number;
  readonly ignored?: number;
  readonly streamed?: number;
  readonly copies?: number;
  readonly missed?: number;
}

export function figuresOfReport(report: RunReport): RunFigures {
  const { connections, messages } = report;
  return {
    phase: 'over',
    plan: report.plan,
    loadForS: null,
    startedAtS: Date.parse(report.started_at) / 1000,
    sockets: {
      requested: connections.requested,
      opened: connections.opened,
      open: 0,
      opening: 0,
      notAttempted: connections.not_attempted,
      failed: connections.failed,
      closed: connections.closed,
    },
    messages: { ...messages, inFlight: messages.in_flight, awaited: 0 },
    latency: report.latency,
    connectMs: connections.connect_ms,
    series: report.series,
    report,
    changes: report.changes ?? [],
  };
}

/** A run under way: its latest snapshot, and all seconds so far. */
export function figuresOfSnapshot(
  snapshot: RunSnapshot,
  series: readonly Second[],
  about: Pick<RunFigures, 'plan' | 'startedAtS' | 'loadForS'>,
): RunFigures {
  const { connections, messages } = snapshot;
  return {
    ...about,
    phase: snapshot.phase,
    sockets: {
      requested: connections.requested,
      opened: connections.opened,
      open: connections.open,
      opening: connections.opening,
      notAttempted: connections.not_attempted,
      failed: connections.failed,
      closed: connections.closed,
    },
    messages: { ...messages, inFlight: messages.in_flight },
    latency: snapshot.latency,
    connectMs: null,
    series,
    report: null,
    load: snapshot.load ?? null,
    changes: snapshot.load?.changes ?? [],
  };
}

export function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
