import { NO_CLOSE_FRAME } from './close-codes';
import { type CloseReport, whoClosed } from './close-report';
import type { Outgoing } from '../../lib/send-plan';

/** Moments are in milliseconds on the clock that the socket was given. */
export interface SocketEvents {
  readonly onOpen: (atMs: number, handshakeMs: number, agreed: Agreed) => void;
  readonly onMessage: (data: string | ArrayBuffer, atMs: number) => void;
  /** The last event, whether or not the socket ever opened. */
  readonly onClose: (report: CloseReport, atMs: number) => void;
}

/** What the server chose of what was offered; empty for nothing. */
export interface Agreed {
  readonly subprotocol: string;
  readonly extensions: string;
}

const NORMAL_CLOSURE = 1000;

/**
 * One WebSocket from handshake to close. It never connects again, and never holds a message back
 * until it may be sent: either would falsify round-trip times.
 */
export class OneShotSocket {
  readonly #socket: WebSocket;
  readonly #now: () => number;
  #sentCode: number | undefined;

  /** Throws what the browser throws for an address that it refuses outright. */
  constructor(
    url: string,
    subprotocols: readonly string[],
    now: () => number,
    events: SocketEvents,
  ) {
    const startedAtMs = now();
    const socket = new WebSocket(url, [...subprotocols]);
    socket.binaryType = 'arraybuffer';
    let hadOpened = false;

    socket.addEventListener('open', () => {
      const atMs = now();
      hadOpened = true;
      const { protocol: subprotocol, extensions } = socket;
      events.onOpen(atMs, atMs - startedAtMs, { subprotocol, extensions });
    });
    socket.addEventListener('message', (event: MessageEvent<string | ArrayBuffer>) => {
      // First thing in the handler, so that our own work is not part of the round trip.
      const atMs = now();
      events.onMessage(event.data, atMs);
    });
    socket.addEventListener('close', ({ code, reason }) => {
      const closedBy = whoClosed(code, this.#sentCode);
      events.onClose({ url, code, reason, closedBy, hadOpened }, now());
    });
    this.#socket = socket;
    this.#now = now;
  }

  /**
   * Hands `data` to the browser and returns the moment just before, or `null` when the socket
   * does not take messages: a browser would drop one in silence while closing.
   */
  send(data: Outgoing): number | null {
    if (this.#socket.readyState !== WebSocket.OPEN) return null;
    const atMs = this.#now();
    this.#socket.send(data);
    return atMs;
  }

  /**
   * Starts the closing handshake, or gives up the opening one; `onClose` follows.
   *
   * @param code 1000, or 3000 to 4999: browsers let a page send no other.
   * @param reason at most 123 bytes of UTF-8.
   */
  close(code = NORMAL_CLOSURE, reason?: string): void {
    if (this.#socket.readyState === WebSocket.OPEN) {
      this.#sentCode = code;
      this.#socket.close(code, reason);
    } else if (this.#socket.readyState === WebSocket.CONNECTING) {
      // No frame can be sent yet, and the browser reports this code for its own giving up.
      this.#sentCode = NO_CLOSE_FRAME;
      this.#socket.close();
    }
  }
}
