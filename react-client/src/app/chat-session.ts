import { NO_CLOSE_FRAME } from '../features/connection/close-codes';
import type { CloseReport } from '../features/connection/close-report';
import type {
  ConnectionNotice,
  ConnectionState,
  Retry,
} from '../features/connection/connection-state';
import type { DialStep, ToldFrame } from '../features/connection/dialling/told';
import { isWorthTryingAgain, STEADY_MS } from '../features/connection/reconnecting';
import type { Automation } from '../lib/automation';
import { type Outgoing, plannedCount, type SendPlan } from '../lib/send-plan';
import {
  type SocketReport,
  type SocketThread,
  type StartSocketThread,
  startSocketWorker,
} from '../features/connection/socket-thread';
import { readSocketUrl } from '../features/connection/socket-url';
import { readSubprotocols } from '../features/connection/subprotocols';
import { Conversation, type ConversationSnapshot } from '../features/conversation/conversation';
import type { Matching } from '../features/conversation/matching';
import { binaryPayload, type Payload, textPayload } from '../features/conversation/payload';
import type { Sending } from '../features/conversation/sending';
import { backoffMs } from '../lib/backoff';
import { FrameStore, type Store } from '../lib/frame-store';
import { LatencyTrack } from '../lib/latency-track';
import { roomyFrames } from '../lib/next-frame';
import type { TimeSeries } from '../lib/time-series';

export interface ChatSnapshot extends ConversationSnapshot<ConnectionNotice> {
  readonly connection: ConnectionState;
  /** What sends by itself, or last did. */
  readonly sending: Sending | null;
}

/** How to connect. */
export interface ConnectOptions {
  /** As typed: names apart by commas. */
  readonly subprotocols?: string;
  /** Whether to try again by itself when the connection is lost. */
  readonly reconnects?: boolean;
  /** What it sends by itself. */
  readonly automation?: Automation | undefined;
  /** Sent where the console dials. */
  readonly headers?: readonly (readonly [name: string, value: string])[] | undefined;
}

/** A request either did what was asked, or did nothing and says why in one line. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly problem: string };

export function problemOf(outcome: Outcome): string | null {
  return outcome.ok ? null : outcome.problem;
}

interface SessionOptions {
  readonly startThread?: StartSocketThread;
  readonly schedule?: (publish: () => void) => void;
  /** How long to wait before the attempt that follows so many failures. */
  readonly retryDelayMs?: (failures: number) => number;
}

interface UnderWay {
  readonly data: Outgoing;
  readonly settle: (outcome: Outcome) => void;
}

interface Target {
  readonly url: string;
  readonly subprotocols: readonly string[];
  readonly reconnects: boolean;
  readonly automation: Automation | undefined;
  readonly headers: ConnectOptions['headers'];
}

const CLOSING_MS = 1_000;
const FRAMES_KEPT = 10_000;

/** What the console has told of a connection that it dialled. */
export interface Dialled {
  steps: DialStep[];
  /** The newest. */
  frames: ToldFrame[];
  /** Of the frames before those. */
  dropped: number;
  /** What to add to their times to get this page's. */
  offsetMs: number;
}

const DONE: Outcome = { ok: true };
const NOT_SENT = refused('Not connected, so nothing was sent. Your message is kept.');

/**
 * One chat: a socket at a time, and everything said over it and its predecessors. The page's
 * state, outside React; components read it through `store`.
 */
export class ChatSession {
  readonly store: Store<ChatSnapshot>;
  /** The slowest round trip of each second, on this machine's clock. */
  readonly latency: Store<TimeSeries>;
  readonly #published: FrameStore<ChatSnapshot>;
  readonly #publishedLatency: FrameStore<TimeSeries>;
  readonly #latencyTrack = new LatencyTrack();
  readonly #conversation = new Conversation<ConnectionNotice>();
  readonly #startThread: StartSocketThread;
  #connection: ConnectionState = { phase: 'idle' };
  #thread: SocketThread | undefined;
  #settleConnect: ((outcome: Outcome) => void) | undefined;
  /** Of the latest attempt; what `#settleConnect` settles. */
  #opening: Promise<Outcome> | undefined;
  #announceEnd: (() => void) | undefined;
  /** Messages handed to the thread, of which it has not said yet whether they were sent. */
  readonly #underWay = new Map<number, UnderWay>();
  #nextTicket = 1;
  #target: Target | undefined;
  /** In a row: attempts that came to nothing, and connections that did not last. */
  #failures = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #retryDelayMs: (failures: number) => number;
  #sending: Sending | null = null;
  /** Of the plan that `#sending` is about: one that it took the place of may still be heard of. */
  #planId = 0;
  #openedAtMs = 0;
  #through: string | null = null;
  /** Of the latest attempt that the console has dialled. */
  readonly dialled: Dialled = { steps: [], frames: [], dropped: 0, offsetMs: 0 };
  /** What the counts and round trips are of. */
  #countedUrl: string | undefined;
  #countedFromMs = 0;

  constructor(options: SessionOptions = {}) {
    const { startThread = startSocketWorker, schedule = roomyFrames() } = options;
    this.#startThread = startThread;
    this.#retryDelayMs = options.retryDelayMs ?? ((failures) => backoffMs(failures, Math.random()));
    this.#published = new FrameStore(() => this.#snapshot(), schedule);
    this.store = this.#published;
    this.#publishedLatency = new FrameStore(() => this.#latencyTrack.series(), schedule);
    this.latency = this.#publishedLatency;
  }

  /** Settles once the connection has opened, or has come to nothing. */
  connect(typedUrl: string, options: ConnectOptions = {}): Promise<Outcome> {
    const address = readSocketUrl(typedUrl, location.protocol);
    if (this.#thread !== undefined) {
      const { connection } = this;
      const isConnecting = connection.phase === 'connecting';
      const isByItself = isConnecting && connection.attempt !== undefined;
      const isTheSame = isConnecting && address.ok && connection.url === address.url;
      // Pressed twice before the first press was to be seen: that is asked for once.
      if (isTheSame && !isByItself && this.#opening !== undefined) return this.#opening;
      // What one asks for comes before what the page tries by itself, even at the same address.
      if (isByItself && address.ok) this.#abandon();
    }
    if (this.#thread !== undefined) {
      return Promise.resolve(refused('Disconnect first: one connection at a time.'));
    }
    if (!address.ok) return Promise.resolve(address);
    const offered = readSubprotocols(options.subprotocols ?? '');
    if (!offered.ok) return Promise.resolve(offered);

    this.#failures = 0;
    if (this.#countedUrl !== address.url) this.#countAfresh(address.url);
    const { reconnects = false, automation, headers } = options;
    const { url } = address;
    this.#target = { url, subprotocols: offered.names, reconnects, automation, headers };
    return this.#open(this.#target);
  }

  /** What came back from one address says nothing of another. */
  #countAfresh(url: string): void {
    this.#countedUrl = url;
    this.#countedFromMs = performance.now();
    this.#conversation.forgetForm();
    this.#conversation.restartCounts();
    this.#latencyTrack.clear();
    this.#published.markChanged();
    this.#publishedLatency.markChanged();
  }

  /** How the console is to dial, a `DialForm` as JSON; `null`: the browser does. */
  get through(): string | null {
    return this.#through;
  }

  /** Has the console dial from the next attempt on, or the browser. */
  dialThrough(through: string | null): void {
    this.#through = through;
    this.#published.markChanged();
  }

  /** As it is now, which the store tells a frame later. */
  get connection(): ConnectionState {
    return this.#connection;
  }

  /** Does not wait any longer for the next attempt. */
  tryNow(): void {
    if (this.#retryTimer !== undefined && this.#target !== undefined) void this.#open(this.#target);
  }

  /**
   * Makes no further attempt, and gives up one that has begun since: what one sees, and presses, is
   * a frame or more behind.
   */
  stopTrying(): void {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    if (this.#connection.phase === 'connecting') this.disconnect();
    if (this.#connection.phase !== 'closed') return;
    this.#enter({ phase: 'closed', report: this.#connection.report });
  }

  #open({ url, subprotocols, automation, headers }: Target): Promise<Outcome> {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = undefined;
    const through = this.#through;
    const thread = this.#startThread((report) => {
      // What came in the same batch as the end is of no use any more: all is settled by then.
      if (this.#thread === thread) this.#handle(report, url);
    }, through !== null);
    this.#thread = thread;
    const clockOriginMs = performance.timeOrigin;
    const open = { type: 'open', url, subprotocols, clockOriginMs, automation } as const;
    thread.post(through === null ? open : { ...open, through, headers });
    Object.assign(this.dialled, { steps: [], frames: [], dropped: 0 });
    const attempt = this.#failures === 0 ? {} : { attempt: this.#failures };
    this.#enter({ phase: 'connecting', url, ...attempt });
    this.#opening = new Promise((resolve) => (this.#settleConnect = resolve));
    return this.#opening;
  }

  /** Leaves an attempt that nobody waits for, without a word. */
  #abandon(): void {
    this.#thread?.end();
    this.#thread = undefined;
    this.#settleConnect?.(DONE);
  }

  /**
   * Closes, or gives up connecting. Where the connection was lost before one saw it, there is still
   * the attempt to come that one does not want.
   *
   * @param code 1000 if not given; see `OneShotSocket.close`.
   */
  disconnect(code?: number, reason?: string): void {
    if (this.#connection.phase === 'closed') this.stopTrying();
    if (this.#connection.phase !== 'connecting' && this.#connection.phase !== 'open') return;
    this.#thread?.post({ type: 'close', code, reason });
    this.#enter({ phase: 'closing', url: this.#connection.url });
  }

  /** Closes what there is, and connects to another address once that is over. */
  async reconnect(typedUrl: string, options?: ConnectOptions): Promise<Outcome> {
    if (this.#thread !== undefined) {
      const closed = new Promise<void>((resolve) => (this.#announceEnd = resolve));
      this.disconnect();
      await closed;
    }
    return this.connect(typedUrl, options);
  }

  /** Sends now or not at all: nothing is kept for a later connection. */
  send(message: Outgoing): Promise<Outcome> {
    if (message.length === 0) return Promise.resolve(refused('Type a message first.'));
    const thread = this.#thread;
    if (thread === undefined || this.#connection.phase !== 'open') return Promise.resolve(NOT_SENT);

    const data = asSent(message);
    const ticket = this.#nextTicket++;
    return new Promise((settle) => {
      this.#underWay.set(ticket, { data, settle });
      thread.post({ type: 'send', ticket, data });
    });
  }

  /** Starts to send by itself, in place of what did so before. */
  start(plan: SendPlan): Outcome {
    if (this.#thread === undefined || this.#connection.phase !== 'open') return NOT_SENT;
    this.#sending = { state: 'running', sent: 0, total: plannedCount(plan), lateMs: 0 };
    this.#planId += 1;
    this.#thread.post({ type: 'start', planId: this.#planId, plan: asPlanned(plan) });
    this.#published.markChanged();
    return DONE;
  }

  /** Stops what sends by itself. */
  stop(): void {
    this.#thread?.post({ type: 'stop' });
  }

  /** Forgets what sent by itself, once it has ended. */
  dismissSending(): void {
    if (this.#sending?.state !== 'running') this.#sending = null;
    this.#published.markChanged();
  }

  /** Its log as a text, for the page that comes after a reload. */
  keepLog(): string | null {
    return this.#conversation.keepLog();
  }

  /** Begins with the log of the page before the reload. */
  restoreLog(kept: string | null): void {
    const left = this.#conversation.restoreLog(kept);
    if (left === null) return;
    this.#conversation.recordNotice({ kind: 'reloaded', left }, performance.now());
    this.#published.markChanged();
  }

  clearLog(): void {
    this.#conversation.clearLog();
    this.#published.markChanged();
  }

  restartCounts(): void {
    this.#conversation.restartCounts();
    this.#published.markChanged();
  }

  /** Takes replies for what one says they are; what was said on the last connection, too. */
  setMatching(matching: Matching): void {
    this.#conversation.setMatching(matching);
    this.#latencyTrack.clear();
    for (const entry of this.#conversation.snapshot().entries) {
      if (entry.kind !== 'received' || entry.roundTripMs === undefined) continue;
      if (entry.atMs < this.#countedFromMs) continue;
      this.#latencyTrack.add(performance.timeOrigin + entry.atMs, entry.roundTripMs);
    }
    this.#published.markChanged();
    this.#publishedLatency.markChanged();
  }

  /** Ends all of it; the session is not used again. */
  end(): void {
    this.stopTrying();
    // However its connection ends now: nobody is there any more for whom to try again.
    this.#target = undefined;
    this.#thread?.post({ type: 'close' });
    const thread = this.#thread;
    // Room for the Close frame to go out before the thread does.
    if (thread !== undefined) setTimeout(() => thread.end(), CLOSING_MS);
  }

  #handle(report: SocketReport, url: string): void {
    switch (report.type) {
      case 'opened': {
        const { atMs, handshakeMs, subprotocol, extensions } = report;
        const notice = { kind: 'opened', url, handshakeMs, subprotocol, extensions } as const;
        this.#conversation.recordNotice(notice, atMs);
        this.#openedAtMs = atMs;
        // It may have opened just as the reader gave it up; then the close is on its way.
        if (this.#connection.phase === 'connecting') {
          this.#enter({ phase: 'open', url, openedAtMs: atMs });
        }
        this.#settleConnect?.(DONE);
        break;
      }
      case 'sent':
        this.#conversation.recordSent(
          payloadOf(this.#settleSend(report.ticket, DONE)),
          report.atMs,
        );
        break;
      case 'unsent':
        this.#settleSend(report.ticket, NOT_SENT);
        break;
      case 'planned':
        this.#conversation.recordSent(payloadOf(report.data), report.atMs);
        if (this.#sending !== null && report.planId === this.#planId) {
          const { sent } = this.#sending;
          this.#sending = { ...this.#sending, sent: sent + 1, lateMs: report.lateMs };
        }
        break;
      case 'automatic':
        this.#conversation.recordSent(payloadOf(report.data), report.atMs, report.by);
        break;
      case 'ruleStopped': {
        const { rule, replies, atMs } = report;
        this.#conversation.recordNotice({ kind: 'ruleStopped', rule, replies }, atMs);
        break;
      }
      case 'planEnded':
        if (report.planId === this.#planId) this.#endSending(report.why);
        break;
      case 'received': {
        const { data, atMs } = report;
        const roundTripMs = this.#conversation.recordReceived(payloadOf(data), atMs);
        if (roundTripMs === null) break;
        this.#latencyTrack.add(performance.timeOrigin + atMs, roundTripMs);
        this.#publishedLatency.markChanged();
        break;
      }
      case 'closed':
        this.#recordClose(report.report, report.atMs);
        break;
      case 'refused':
        this.#recordRefusal(report.problem, url);
        break;
      case 'step':
        this.dialled.steps.push(report.step);
        break;
      case 'frames':
        this.dialled.offsetMs = report.offsetMs;
        this.dialled.frames.push(...report.frames);
        if (this.dialled.frames.length > FRAMES_KEPT) {
          this.dialled.dropped += this.dialled.frames.splice(0, FRAMES_KEPT / 2).length;
        }
        break;
    }
    this.#published.markChanged();
  }

  #recordRefusal(problem: string, url: string): void {
    const isConnecting = this.#connection.phase === 'connecting';
    if (isConnecting && this.#failures === 0) {
      this.#end({ phase: 'idle' }, refused(problem));
      return;
    }
    // A thread that failed took an open socket with it: to its server, a broken connection. One
    // that did not even start, with the page's server gone, is one more attempt in vain.
    const end = { code: NO_CLOSE_FRAME, reason: '', closedBy: 'unknown' } as const;
    this.#recordClose({ url, ...end, hadOpened: !isConnecting }, performance.now());
  }

  #recordClose(report: CloseReport, atMs: number): void {
    const lostCount = this.#conversation.endConnection();
    const isFailedAgain = !report.hadOpened && report.closedBy !== 'page' && this.#failures > 0;
    this.#conversation.recordNotice(
      isFailedAgain
        ? { kind: 'failedAgain', attempt: this.#failures }
        : { kind: 'closed', report, lostCount },
      atMs,
    );
    // A close that one asked for may cross with the server's own, or with its crash.
    const wasAskedFor = this.#connection.phase === 'closing';
    const retry = wasAskedFor ? undefined : this.#planRetry(report, atMs);
    const state = { phase: 'closed', report } as const;
    this.#end(retry === undefined ? state : { ...state, retry }, DONE);
  }

  /** A connection that was there once is tried again; one that never was is not. */
  #planRetry(report: CloseReport, atMs: number): Retry | undefined {
    const target = this.#target;
    if (report.hadOpened && atMs - this.#openedAtMs >= STEADY_MS) this.#failures = 0;
    const isLost = report.hadOpened || this.#failures > 0;
    if (!target?.reconnects || !isLost || !isWorthTryingAgain(report)) return undefined;
    this.#failures += 1;
    const delayMs = this.#retryDelayMs(this.#failures);
    this.#retryTimer = setTimeout(() => void this.#open(target), delayMs);
    return { attempt: this.#failures, atMs: performance.now() + delayMs };
  }

  #endSending(state: 'done' | 'stopped'): void {
    if (this.#sending?.state === 'running') this.#sending = { ...this.#sending, state };
  }

  #settleSend(ticket: number, outcome: Outcome): Outgoing {
    const message = this.#underWay.get(ticket);
    if (message === undefined) throw new Error(`no message with ticket ${String(ticket)}`);
    this.#underWay.delete(ticket);
    message.settle(outcome);
    return message.data;
  }

  #end(state: ConnectionState, outcome: Outcome): void {
    this.#thread?.end();
    this.#thread = undefined;
    this.#endSending('stopped');
    // Handed over when the socket had closed already: the thread will not answer any more.
    for (const ticket of [...this.#underWay.keys()]) this.#settleSend(ticket, NOT_SENT);
    this.#enter(state);
    this.#settleConnect?.(outcome);
    this.#announceEnd?.();
  }

  #enter(state: ConnectionState): void {
    this.#connection = state;
    this.#published.markChanged();
  }

  #snapshot(): ChatSnapshot {
    return {
      connection: this.#connection,
      sending: this.#sending,
      ...this.#conversation.snapshot(),
    };
  }
}

function refused(problem: string): Outcome {
  return { ok: false, problem };
}

/** A browser replaces lone surrogates on the wire; the echo is of what was really sent. */
function asSent(message: Outgoing): Outgoing {
  return typeof message === 'string' ? message.toWellFormed() : message;
}

function asPlanned(plan: SendPlan): SendPlan {
  if (plan.kind === 'repeat') return { ...plan, data: asSent(plan.data) };
  return { ...plan, messages: plan.messages.map((one) => ({ ...one, data: asSent(one.data) })) };
}

function payloadOf(data: Outgoing | ArrayBuffer): Payload {
  if (typeof data === 'string') return textPayload(data);
  return binaryPayload(data instanceof Uint8Array ? data : new Uint8Array(data));
}
