import type { LoadChange, LoadNow } from './load-changes';

/**
 * What a load run says of itself, in the words of `docs/reference/report.md`: the report at its
 * end, and a snapshot each second until then.
 */

/** A distribution of times, in milliseconds. */
export interface Summary {
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

type Counts = Readonly<Record<string, number>>;

/** One second of a run. */
export interface Second {
  readonly t_s: number;
  readonly open: number;
  readonly opening: number;
  readonly sent: number;
  readonly received: number;
  readonly errors: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
  readonly lag_ms: number;
}

export interface Latencies {
  readonly intended: Summary;
  readonly service: Summary;
  readonly scheduling_lag: Summary;
  /** How late a scenario's code went on; reports of older versions have none. */
  readonly script_lag?: Summary;
}

interface Sockets {
  readonly requested: number;
  readonly opened: number;
  readonly not_attempted: number;
  readonly failed: Counts;
  readonly closed: Counts;
}

interface Messages {
  readonly sent: number;
  readonly received: number;
  readonly echoed: number;
  readonly reordered: number;
  readonly corrupt: number;
  readonly duplicate: number;
  readonly unexpected: number;
  readonly lost: number;
  readonly in_flight: number;
  /** Reports of older versions have none of these. */
  readonly one_way?: number;
  readonly published?: number;
  readonly expected?: number;
  readonly ignored?: number;
  readonly streamed?: number;
  readonly copies?: number;
  /** Due, and never sent. */
  readonly missed?: number;
}

/** How a scenario's users ended: `requested` is the sum of the four others. */
export interface Users {
  readonly requested: number;
  readonly finished: number;
  readonly failed: number;
  readonly interrupted: number;
  readonly not_started: number;
  readonly failed_by: Counts;
  readonly tracebacks: Readonly<Record<string, string>>;
}

/** The calls that a script has given one name. */
interface Step {
  readonly name: string;
  readonly kind: string;
  readonly count: number;
  readonly ok: number;
  readonly failed: number;
  readonly lost: number;
  readonly in_flight: number;
  /** Null where nothing was due at a time. */
  readonly intended: Summary | null;
  readonly service: Summary;
}

interface Check {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
}

interface Stream {
  readonly name: string;
  readonly received: number;
  readonly gaps: number;
  readonly reordered: number;
  readonly duplicate: number;
  readonly age: Summary;
}

/** Copies to rooms: `owed = delivered + missing + unsettled + in_flight`. */
export interface FanOut {
  readonly published: number;
  readonly owed: number;
  readonly delivered: number;
  readonly missing: number;
  readonly unsettled: number;
  readonly in_flight: number;
  readonly extra: number;
  readonly first: Summary;
  readonly last: Summary;
  readonly each: Summary;
}

export interface RunReport {
  readonly schema: 1;
  readonly verdict: Verdict;
  readonly verdict_reasons: readonly string[];
  /** What to do about it; reports of older versions have none. */
  readonly hints?: readonly string[];
  readonly interrupted: boolean;
  readonly thresholds: readonly Threshold[];
  readonly plan: Plan;
  readonly started_at: string;
  readonly ended_at: string;
  readonly connections: Sockets & {
    readonly peak_open: number;
    readonly all_open_after_s: number | null;
    readonly failed_status: Counts;
    readonly close_codes: Counts;
    readonly connect_ms: Summary;
  };
  readonly messages: Messages & {
    readonly sent_bytes: number;
    readonly received_bytes: number;
    readonly sent_per_s: number;
    readonly received_per_s: number;
  };
  readonly latency: Latencies;
  readonly histograms: { readonly intended: string; readonly service: string };
  readonly generator: {
    readonly processes: number;
    readonly cpu_s: number;
    readonly cpu_share: number;
    readonly peak_rss_bytes: number;
    /** Null if nobody looked: a run without a load phase. */
    readonly loop_lag: Readonly<Record<'p50' | 'p99' | 'max', number | null>>;
    readonly python: string;
    readonly trio: string;
  };
  readonly series: readonly Second[];
  /** Of the load by hand; reports of older versions have none. */
  readonly changes?: readonly LoadChange[];
  /** Null without a scenario; reports of older versions have none of these. */
  readonly users?: Users | null;
  readonly steps?: readonly Step[];
  readonly checks?: readonly Check[];
  readonly streams?: readonly Stream[];
  readonly counters?: Counts;
  /** Null without rooms. */
  readonly fan_out?: FanOut | null;
}

type Verdict = 'valid' | 'generator-limited' | 'failed';
export type Plan = Readonly<Record<string, unknown>>;

export interface Threshold {
  readonly expr: string;
  readonly value: number | null;
  readonly breached: boolean;
}

export interface RunSnapshot {
  readonly type: 'snapshot';
  readonly phase: string;
  readonly t_s: number;
  readonly connections: Sockets & { readonly open: number; readonly opening: number };
  readonly messages: Messages & { readonly awaited: number };
  readonly latency: Latencies;
  readonly second: Second;
  readonly load?: LoadNow | null;
}

/** A report of the schema that this page knows; `null` for anything else. */
export function readReport(value: unknown): RunReport | null {
  return has(value, ['connections', 'messages', 'latency', 'generator', 'series', 'plan']) &&
    value.schema === 1
    ? (value as unknown as RunReport)
    : null;
}

export function readRunSnapshot(value: unknown): RunSnapshot | null {
  return has(value, ['connections', 'messages', 'latency', 'second']) && value.type === 'snapshot'
    ? (value as unknown as RunSnapshot)
    : null;
}

/** Whether all of these are there and hold something, as they do when the schema holds. */
function has(value: unknown, keys: readonly string[]): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const record = value as Record<string, unknown>;
  return keys.every((key) => typeof record[key] === 'object' && record[key] !== null);
}
