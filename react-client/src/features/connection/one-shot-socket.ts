import { type CloseReport, NO_CLOSE_FRAME, whoClosed } from './close-report';

/** Moments are on the page's monotonic clock, in milliseconds. */
export interface SocketEvents {
  readonly onOpen: (atMs: number) => void;
  readonly onMessage: (data: string | ArrayBuffer, atMs: number) => void;
  /** The last event, whether or not the socket ever opened. */
  readonly onClose: (report: CloseReport, atMs: number) => void;
}

const NORMAL_CLOSURE = 1000;

/**
 * One WebSocket from handshake to close. It never connects again, and never holds a message back
 * until it may be sent: either would falsify round-trip times.
 */
export class OneShotSocket {
  readonly #socket: WebSocket;
  #sentCode: number | undefined;

  /** Throws what the browser throws for an address it refuses outright, such as a blocked port. */
  constructor(url: string, events: SocketEvents) {
    const socket = new WebSocket(url);
    socket.binaryType = 'arraybuffer';
    let hadOpened = false;

    socket.addEventListener('open', () => {
      hadOpened = true;
      events.onOpen(performance.now());
    });
    socket.addEventListener('message', (event: MessageEvent<string | ArrayBuffer>) => {
      // First thing in the handler, so that our own work is not part of the round trip.
      const atMs = performance.now();
      events.onMessage(event.data, atMs);
    });
    socket.addEventListener('close', ({ code, reason }) => {
      const closedBy = whoClosed(code, this.#sentCode);
      events.onClose({ url, code, reason, closedBy, hadOpened }, performance.now());
    });
    this.#socket = socket;
  }

  /**
   * Hands `text` to the browser and returns the moment just before, or `null` when the socket
   * does not take messages: a browser would drop one in silence while closing.
   */
  send(text: string): number | null {
    if (this.#socket.readyState !== WebSocket.OPEN) return null;
    const atMs = performance.now();
    this.#socket.send(text);
    return atMs;
  }

  /** Starts the closing handshake, or gives up the opening one; `onClose` follows. */
  close(): void {
    if (this.#socket.readyState === WebSocket.OPEN) {
      this.#sentCode = NORMAL_CLOSURE;
      this.#socket.close(NORMAL_CLOSURE);
    } else if (this.#socket.readyState === WebSocket.CONNECTING) {
      // No frame can be sent yet, and the browser reports this code for its own giving up.
      this.#sentCode = NO_CLOSE_FRAME;
      this.#socket.close();
    }
  }
}
