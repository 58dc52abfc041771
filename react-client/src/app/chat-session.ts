import { type CloseReport, NO_CLOSE_FRAME } from '../features/connection/close-report';
import type { ConnectionNotice, ConnectionState } from '../features/connection/connection-state';
import {
  type SocketReport,
  type SocketThread,
  type StartSocketThread,
  startSocketWorker,
} from '../features/connection/socket-thread';
import { readSocketUrl } from '../features/connection/socket-url';
import {
  Conversation,
  type ConversationSnapshot,
  type Payload,
} from '../features/conversation/conversation';
import { FrameStore, type Store } from '../lib/frame-store';
import { LatencyTrack } from '../lib/latency-track';
import type { TimeSeries } from '../lib/time-series';

export interface ChatSnapshot extends ConversationSnapshot<ConnectionNotice> {
  readonly connection: ConnectionState;
}

/** A request either did what was asked, or did nothing and says why in one line. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly problem: string };

interface SessionOptions {
  readonly startThread?: StartSocketThread;
  readonly schedule?: (publish: () => void) => void;
}

interface UnderWay {
  readonly text: string;
  readonly settle: (outcome: Outcome) => void;
}

/** Enough of a binary message to recognise it by. */
const BINARY_HEAD_BYTES = 16;

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
  #announceEnd: (() => void) | undefined;
  /** Messages handed to the thread, of which it has not said yet whether they were sent. */
  readonly #underWay = new Map<number, UnderWay>();
  #nextTicket = 1;

  constructor({ startThread = startSocketWorker, schedule }: SessionOptions = {}) {
    this.#startThread = startThread;
    this.#published = new FrameStore(() => this.#snapshot(), schedule);
    this.store = this.#published;
    this.#publishedLatency = new FrameStore(() => this.#latencyTrack.series(), schedule);
    this.latency = this.#publishedLatency;
  }

  /** Settles once the connection has opened, or has come to nothing. */
  connect(typedUrl: string): Promise<Outcome> {
    if (this.#thread !== undefined) {
      return Promise.resolve(refused('Disconnect first: one connection at a time.'));
    }
    const address = readSocketUrl(typedUrl, location.protocol);
    if (!address.ok) return Promise.resolve(address);

    const { url } = address;
    this.#thread = this.#startThread((report) => {
      this.#handle(report, url);
    });
    this.#thread.post({ type: 'open', url, clockOriginMs: performance.timeOrigin });
    this.#enter({ phase: 'connecting', url });
    return new Promise((resolve) => (this.#settleConnect = resolve));
  }

  /** Closes, or gives up connecting. */
  disconnect(): void {
    if (this.#connection.phase !== 'connecting' && this.#connection.phase !== 'open') return;
    this.#thread?.post({ type: 'close' });
    this.#enter({ phase: 'closing', url: this.#connection.url });
  }

  /** Closes what there is, and connects to another address once that is over. */
  async reconnect(typedUrl: string): Promise<Outcome> {
    if (this.#thread !== undefined) {
      const closed = new Promise<void>((resolve) => (this.#announceEnd = resolve));
      this.disconnect();
      await closed;
    }
    return this.connect(typedUrl);
  }

  /** Sends now or not at all: nothing is kept for a later connection. */
  send(text: string): Promise<Outcome> {
    if (text === '') return Promise.resolve(refused('Type a message first.'));
    const thread = this.#thread;
    if (thread === undefined || this.#connection.phase !== 'open') return Promise.resolve(NOT_SENT);

    // A browser replaces lone surrogates on the wire; the echo is of what was really sent.
    const sentText = text.toWellFormed();
    const ticket = this.#nextTicket++;
    return new Promise((settle) => {
      this.#underWay.set(ticket, { text: sentText, settle });
      thread.post({ type: 'send', ticket, text: sentText });
    });
  }

  #handle(report: SocketReport, url: string): void {
    switch (report.type) {
      case 'opened': {
        const { atMs, handshakeMs } = report;
        this.#conversation.recordNotice({ kind: 'opened', url, handshakeMs }, atMs);
        // It may have opened just as the reader gave it up; then the close is on its way.
        if (this.#connection.phase === 'connecting') {
          this.#enter({ phase: 'open', url, openedAtMs: atMs });
        }
        this.#settleConnect?.(DONE);
        break;
      }
      case 'sent':
        this.#conversation.recordSent(this.#settleSend(report.ticket, DONE), report.atMs);
        break;
      case 'unsent':
        this.#settleSend(report.ticket, NOT_SENT);
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
        if (this.#connection.phase === 'connecting') {
          this.#end({ phase: 'idle' }, refused(report.problem));
        } else {
          // The thread failed and took an open socket with it: to its server, a broken connection.
          const end = { code: NO_CLOSE_FRAME, reason: '', closedBy: 'unknown' } as const;
          this.#recordClose({ url, ...end, hadOpened: true }, performance.now());
        }
        break;
    }
    this.#published.markChanged();
  }

  #recordClose(report: CloseReport, atMs: number): void {
    const lostCount = this.#conversation.endConnection();
    this.#conversation.recordNotice({ kind: 'closed', report, lostCount }, atMs);
    this.#end({ phase: 'closed', report }, DONE);
  }

  #settleSend(ticket: number, outcome: Outcome): string {
    const message = this.#underWay.get(ticket);
    if (message === undefined) throw new Error(`no message with ticket ${String(ticket)}`);
    this.#underWay.delete(ticket);
    message.settle(outcome);
    return message.text;
  }

  #end(state: ConnectionState, outcome: Outcome): void {
    this.#thread?.end();
    this.#thread = undefined;
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
    return { connection: this.#connection, ...this.#conversation.snapshot() };
  }
}

function refused(problem: string): Outcome {
  return { ok: false, problem };
}

function payloadOf(data: string | ArrayBuffer): Payload {
  if (typeof data === 'string') return { type: 'text', text: data };
  return {
    type: 'binary',
    sizeBytes: data.byteLength,
    head: new Uint8Array(data.slice(0, BINARY_HEAD_BYTES)),
  };
}
