import { backoffMs } from '../../lib/backoff';
import { ConsoleProblem, hasConsoleToken } from '../../lib/console-fetch';
import { readEventStream, type ServerEvent } from '../../lib/event-stream';
import { FrameStore, type Store } from '../../lib/frame-store';
import { readServerSnapshot, type ServerSnapshot } from './server-snapshot';

export type FeedState =
  | { readonly phase: 'idle' }
  | { readonly phase: 'connecting' }
  | { readonly phase: 'live' }
  /** Moments are on the page's monotonic clock. */
  | { readonly phase: 'waiting'; readonly retryAtMs: number; readonly problem: string }
  /** The console wants a token: it was given none, or refused the one that it was given. */
  | { readonly phase: 'locked'; readonly wasRefused: boolean };

export interface FeedSnapshot {
  readonly state: FeedState;
  /** Oldest first, on the server's clock. */
  readonly snapshots: readonly ServerSnapshot[];
  /** What to add to the server's clock to get this machine's; 0 until it is known. */
  readonly clockSkewMs: number;
}

/** An hour, at one a second. */
const SNAPSHOTS_KEPT = 3_600;
/** A stream that is silent for so long is dead, whatever TCP believes. */
const LONGEST_SILENCE_MS = 10_000;
/** Clocks on one machine agree to better than this; what is less is the message’s own way. */
const SKEW_WORTH_TELLING_MS = 2_000;
const UNAUTHORIZED = 401;

interface FeedOptions {
  readonly path?: string;
  readonly schedule?: (publish: () => void) => void;
}

/**
 * The server's figures, one snapshot a second, with the last ten minutes from the start. It comes
 * back after the server does, and what was missed in between is asked for.
 */
export class LiveFeed {
  readonly store: Store<FeedSnapshot>;
  readonly #published: FrameStore<FeedSnapshot>;
  readonly #path: string;
  #state: FeedState = { phase: 'idle' };
  #snapshots: readonly ServerSnapshot[] = [];
  #lastEventId = '';
  #clockSkewMs = 0;
  #stopped: AbortController | undefined;
  #endWait: (() => void) | undefined;

  constructor({ path = 'api/live', schedule }: FeedOptions = {}) {
    this.#path = path;
    this.#published = new FrameStore(() => this.#snapshot(), schedule);
    this.store = this.#published;
  }

  /** Starts reading, once; it goes on until `stop`. */
  start(): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = new AbortController();
    void this.#run(this.#stopped.signal);
  }

  stop(): void {
    this.#stopped?.abort();
    this.#stopped = undefined;
    this.#endWait?.();
    this.#enter({ phase: 'idle' });
  }

  /** Tries again without waiting any longer. */
  retryNow(): void {
    this.#endWait?.();
  }

  async #run(stopped: AbortSignal): Promise<void> {
    let failures = 0;
    const isStopped = () => stopped.aborted;
    while (!isStopped()) {
      this.#enter({ phase: 'connecting' });
      const problem = await this.#readOnce(stopped, () => (failures = 0));
      if (isStopped()) return;
      failures += 1;
      if (problem instanceof ConsoleProblem && problem.status === UNAUTHORIZED) {
        this.#enter({ phase: 'locked', wasRefused: hasConsoleToken() });
        await this.#wait(null);
      } else {
        const delayMs = backoffMs(failures, Math.random());
        const retryAtMs = performance.now() + delayMs;
        this.#enter({ phase: 'waiting', retryAtMs, problem: describe(problem) });
        await this.#wait(delayMs);
      }
    }
  }

  /** Reads until the stream ends, and returns why it did. */
  async #readOnce(stopped: AbortSignal, onLive: () => void): Promise<unknown> {
    const silence = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const listenAgain = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        silence.abort();
      }, LONGEST_SILENCE_MS);
    };
    listenAgain();
    try {
      await readEventStream(this.#path, {
        signal: AbortSignal.any([stopped, silence.signal]),
        lastEventId: this.#lastEventId,
        onEvent: (event) => {
          listenAgain();
          onLive();
          this.#take(event);
        },
      });
      return null;
    } catch (problem) {
      return problem;
    } finally {
      clearTimeout(timer);
    }
  }

  #take(event: ServerEvent): void {
    if (event.type !== 'snapshot') return;
    const snapshot = readServerSnapshot(parseJson(event.data));
    if (snapshot === null) return;
    this.#lastEventId = event.lastEventId;
    const newest = this.#snapshots.at(-1);
    if (newest !== undefined && snapshot.atMs <= newest.atMs) {
      // Not again what is here already: a new console does not know what the old one told.
      if (!isClockSetBack(newest, snapshot)) return;
      // What was told before is yet to come by this clock, and would keep all else out until then.
      this.#snapshots = this.#snapshots.filter(({ atMs }) => atMs < snapshot.atMs);
    }
    this.#snapshots = [...this.#snapshots.slice(1 - SNAPSHOTS_KEPT), snapshot];
    this.#clockSkewMs = skewOf(snapshot.atMs, Date.now());
    if (this.#state.phase !== 'live') this.#enter({ phase: 'live' });
    this.#published.markChanged();
  }

  #wait(delayMs: number | null): Promise<void> {
    return new Promise((resolve) => {
      const timer = delayMs === null ? undefined : setTimeout(resolve, delayMs);
      this.#endWait = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #enter(state: FeedState): void {
    this.#state = state;
    this.#published.markChanged();
  }

  #snapshot(): FeedSnapshot {
    return {
      state: this.#state,
      snapshots: this.#snapshots,
      clockSkewMs: this.#clockSkewMs,
    };
  }
}

/** Whether the two put the server's start, by one clock, at moments too far apart to be the same. */
function isClockSetBack(before: ServerSnapshot, now: ServerSnapshot): boolean {
  // NaN where it does not say: then nobody knows.
  const startOf = ({ atMs, uptimeS }: ServerSnapshot) => atMs - 1000 * (uptimeS ?? NaN);
  return Math.abs(startOf(before) - startOf(now)) > SKEW_WORTH_TELLING_MS;
}

/** History, which arrives long after its time, is followed at once by what is new. */
function skewOf(theirsMs: number, oursMs: number): number {
  const skewMs = oursMs - theirsMs;
  return Math.abs(skewMs) < SKEW_WORTH_TELLING_MS ? 0 : skewMs;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function describe(problem: unknown): string {
  if (problem === null) return 'The server has gone.';
  if (problem instanceof ConsoleProblem) {
    return `The console answered ${String(problem.status)}: ${problem.message}`;
  }
  if (problem instanceof DOMException && problem.name === 'AbortError') {
    return 'Nothing was heard for ten seconds.';
  }
  return 'No console answers.';
}
