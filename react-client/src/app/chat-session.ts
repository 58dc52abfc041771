import type { ConnectionNotice, ConnectionState } from '../features/connection/connection-state';
import { OneShotSocket } from '../features/connection/one-shot-socket';
import { readSocketUrl } from '../features/connection/socket-url';
import {
  Conversation,
  type ConversationSnapshot,
  type Payload,
} from '../features/conversation/conversation';
import { FrameStore, type Store } from '../lib/frame-store';

export interface ChatSnapshot extends ConversationSnapshot<ConnectionNotice> {
  readonly connection: ConnectionState;
}

/** A request either did what was asked, or did nothing and says why in one line. */
export type Outcome = { readonly ok: true } | { readonly ok: false; readonly problem: string };

/** Enough of a binary message to recognise it by. */
const BINARY_HEAD_BYTES = 16;

/**
 * One chat: a socket at a time, and everything said over it and its predecessors. The page's
 * state, outside React; components read it through `store`.
 */
export class ChatSession {
  readonly store: Store<ChatSnapshot>;
  readonly #published: FrameStore<ChatSnapshot>;
  readonly #conversation = new Conversation<ConnectionNotice>();
  #connection: ConnectionState = { phase: 'idle' };
  #socket: OneShotSocket | undefined;

  constructor(schedule?: (publish: () => void) => void) {
    this.#published = new FrameStore(() => this.#snapshot(), schedule);
    this.store = this.#published;
  }

  connect(typedUrl: string): Outcome {
    if (this.#socket !== undefined) {
      return { ok: false, problem: 'Disconnect first: this page holds one connection at a time.' };
    }
    const address = readSocketUrl(typedUrl, location.protocol);
    if (!address.ok) return address;

    const { url } = address;
    const startedAtMs = performance.now();
    try {
      this.#socket = new OneShotSocket(url, {
        onOpen: (atMs) => {
          const handshakeMs = atMs - startedAtMs;
          this.#conversation.recordNotice({ kind: 'opened', url, handshakeMs }, atMs);
          this.#enter({ phase: 'open', url, openedAtMs: atMs });
        },
        onMessage: (data, atMs) => {
          this.#conversation.recordReceived(payloadOf(data), atMs);
          this.#published.markChanged();
        },
        onClose: (report, atMs) => {
          this.#socket = undefined;
          const lostCount = this.#conversation.endConnection();
          this.#conversation.recordNotice({ kind: 'closed', report, lostCount }, atMs);
          this.#enter({ phase: 'closed', report });
        },
      });
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      return { ok: false, problem: `The browser refuses this address: ${cause}` };
    }
    this.#enter({ phase: 'connecting', url });
    return { ok: true };
  }

  /** Closes, or gives up connecting. */
  disconnect(): void {
    this.#socket?.close();
    if (this.#connection.phase === 'connecting' || this.#connection.phase === 'open') {
      this.#enter({ phase: 'closing', url: this.#connection.url });
    }
  }

  /** Sends now or not at all: nothing is kept for a later connection. */
  send(text: string): Outcome {
    if (text === '') return { ok: false, problem: 'Type a message first.' };
    // A browser replaces lone surrogates on the wire; the echo is of what was really sent.
    const sentText = text.toWellFormed();
    const sentAtMs = this.#socket?.send(sentText) ?? null;
    if (sentAtMs === null) {
      return { ok: false, problem: 'Not connected, so nothing was sent. Your message is kept.' };
    }
    this.#conversation.recordSent(sentText, sentAtMs);
    this.#published.markChanged();
    return { ok: true };
  }

  #enter(state: ConnectionState): void {
    this.#connection = state;
    this.#published.markChanged();
  }

  #snapshot(): ChatSnapshot {
    return { connection: this.#connection, ...this.#conversation.snapshot() };
  }
}

function payloadOf(data: string | ArrayBuffer): Payload {
  if (typeof data === 'string') return { type: 'text', text: data };
  return {
    type: 'binary',
    sizeBytes: data.byteLength,
    head: new Uint8Array(data.slice(0, BINARY_HEAD_BYTES)),
  };
}
