/** Times of something, over the last second or so, in milliseconds. */
export interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** What the server counted up to one moment; `null` where it does not say. */
export interface ServerSnapshot {
  /** The server's clock, Unix milliseconds. */
  readonly atMs: number;
  readonly uptimeS: number | null;
  readonly url: string | null;
  readonly workers: number | null;
  readonly draining: boolean;
  readonly accepted: number | null;
  readonly handshaking: number | null;
  readonly open: number | null;
  readonly peakOpen: number | null;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
  readonly refusedReasons: Readonly<Record<string, number>>;
  readonly closeCodes: Readonly<Record<string, number>>;
  readonly messagesReceived: number | null;
  readonly messagesSent: number | null;
  /** Sent to clients that had not asked: copies, ticks, greetings. */
  readonly messagesPushed: number | null;
  /** Of those, what had not left when its connection ended. */
  readonly messagesUndelivered: number | null;
  readonly bytesReceived: number | null;
  readonly bytesSent: number | null;
  /** `null` also when nothing was echoed: no figure is not a zero. */
  readonly echoMs: Spread | null;
  readonly loopLagMs: Spread | null;
  readonly tasks: number | null;
  readonly descriptors: number | null;
  readonly fileLimit: number | null;
  readonly rssBytes: number | null;
  /** For connections: parts of messages, and replies that are not on their way yet. */
  readonly heldBytes: number | null;
  readonly cpuS: number | null;
  /** The server behind a proxy; `null` where this is none. */
  readonly upstream: string | null;
  /** The faults of all pairs of a proxy, as they are written; `null` where this is none. */
  readonly faults: string | null;
  /** Messages that came to faults, by name such as `up-delay`. */
  readonly faultsSeen: Readonly<Record<string, number>>;
  /** How often faults did what they are for, by name. */
  readonly faultsActed: Readonly<Record<string, number>>;
}

/** Reads what `/api/server` and `/api/live` send; `null` if it is no snapshot at all. */
export function readServerSnapshot(value: unknown): ServerSnapshot | null {
  if (!isRecord(value)) return null;
  const atMs = figure(value.t_ms);
  if (atMs === null) return null;
  return {
    atMs,
    uptimeS: figure(value.uptime_s),
    url: typeof value.url === 'string' ? value.url : null,
    workers: figure(value.workers),
    draining: value.draining === true,
    accepted: figure(value.accepted),
    handshaking: figure(value.handshaking),
    open: figure(value.open),
    peakOpen: figure(value.peak_open),
    outcomes: tally(value.outcomes),
    refused: tally(value.refused),
    refusedReasons: tally(value.refused_reasons),
    closeCodes: tally(value.close_codes),
    messagesReceived: figure(value.messages_received),
    messagesSent: figure(value.messages_sent),
    messagesPushed: figure(value.messages_pushed),
    messagesUndelivered: figure(value.messages_undelivered),
    bytesReceived: figure(value.bytes_received),
    bytesSent: figure(value.bytes_sent),
    echoMs: spread(value.echo_ms),
    loopLagMs: spread(value.loop_lag_ms),
    tasks: figure(value.tasks),
    descriptors: figure(value.descriptors),
    fileLimit: figure(value.file_limit),
    rssBytes: figure(value.rss_bytes),
    heldBytes: figure(value.held_bytes),
    cpuS: figure(value.cpu_s),
    upstream: typeof value.upstream === 'string' ? value.upstream : null,
    faults: typeof value.faults === 'string' ? value.faults : null,
    faultsSeen: tally(value.faults_seen),
    faultsActed: tally(value.faults_acted),
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function figure(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function tally(value: unknown): Record<string, number> {
  if (!isRecord(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, number] => figure(entry[1]) !== null),
  );
}

function spread(value: unknown): Spread | null {
  if (!isRecord(value) || value.count === 0) return null;
  const [p50, p99, max] = [figure(value.p50), figure(value.p99), figure(value.max)];
  return p50 === null || p99 === null || max === null ? null : { p50, p99, max };
}
