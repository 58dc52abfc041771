import { fromBase64 } from '../../../lib/base64';
import { consoleFetch } from '../../../lib/console-fetch';
import { readEvents, type ServerEvent } from '../../../lib/event-stream';
import type { Outgoing } from '../../../lib/send-plan';
import { NO_CLOSE_FRAME } from '../close-codes';
import type { HostedEvents, HostedSocket } from '../socket-host';
import { closeReportOf } from './dial-end';
import { orderOf, readDialForm } from './dial-form';
import { NO_PLACE, takeDialPlace } from './dial-places';
import { itemsOf, SendQueue } from './send-queue';
import type { DialStep, ToldFrame, ToldRecord } from './told';

/** Besides what any socket tells, what a browser hides. */
interface DialledEvents extends HostedEvents {
  readonly onStep: (step: DialStep) => void;
  readonly onFrames: (frames: readonly ToldFrame[], offsetMs: number) => void;
}

interface Dialling {
  readonly url: string;
  readonly subprotocols: readonly string[];
  /** A `DialForm` as JSON. */
  readonly through: string;
  /** Sent before those of the form. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Where the console is; ends in a slash. */
  readonly base: string;
}

const NORMAL_CLOSURE = 1000;

/**
 * One WebSocket that the console dials for the page: it does what `OneShotSocket` does, and tells
 * what a browser hides.
 *
 * The moments are those of the console, which are nearer to the wire than any of a browser.
 */
export class DialledSocket implements HostedSocket {
  readonly #dialling: Dialling;
  readonly #now: () => number;
  readonly #events: DialledEvents;
  readonly #left = new AbortController();
  /** Aborted with the end of all: the place among the dials is free then. */
  readonly #over = new AbortController();
  readonly #queue: SendQueue;
  #id = '';
  /** What to add to the console's times; the least that was seen, as each takes its way here. */
  #offsetMs = Infinity;
  #state: 'connecting' | 'open' | 'over' = 'connecting';
  #pageAsked = false;

  constructor(dialling: Dialling, now: () => number, events: DialledEvents) {
    this.#dialling = dialling;
    this.#now = now;
    this.#events = events;
    this.#queue = new SendQueue(
      (body) => this.#post(this.#id, body, this.#left.signal).then(() => undefined),
      (tickets) => {
        tickets.forEach(events.onUnsent);
      },
    );
    void this.#run();
  }

  /** Hands it on to be sent; `false` where that cannot be. When it was sent comes as an event. */
  send(data: Outgoing, ticket: number): boolean {
    if (this.#state !== 'open' || this.#pageAsked || this.#queue.isFull) return false;
    this.#queue.add(itemsOf(data, ticket));
    return true;
  }

  /**
   * Starts the closing handshake, or gives up the opening one; `onClose` follows.
   *
   * @param code any that may be sent, which here are more than a browser's.
   */
  close(code = NORMAL_CLOSURE, reason = ''): void {
    this.#pageAsked = true;
    if (this.#state === 'open') this.#queue.add([{ kind: 'close', code, text: reason }]);
    else if (this.#state === 'connecting') this.#giveUp();
  }

  async #run(): Promise<void> {
    const { url, subprotocols, through, headers } = this.#dialling;
    const read = orderOf(readDialForm(through));
    if (!read.ok) {
      this.#refuse(read.problem);
      return;
    }
    if (!(await takeDialPlace(this.#over.signal))) {
      this.#refuse(NO_PLACE);
      return;
    }
    const all = [...headers, ...read.order.headers];
    const order = JSON.stringify({ ...read.order, url, subprotocols, headers: all });
    try {
      const answer = await this.#post('', order, this.#left.signal);
      await readEvents(answer, (event) => {
        this.#take(event);
      });
    } catch (error) {
      if (this.#id === '' && !this.#pageAsked) {
        this.#refuse(error instanceof Error ? error.message : String(error));
        return;
      }
    }
    // The stream has ended without the end of the connection.
    this.#end('console', 'The console that had dialled is gone, and the connection with it.');
  }

  #post(id: string, body: string, signal: AbortSignal): Promise<Response> {
    const headers = { 'Content-Type': 'application/json' };
    const path = new URL(id === '' ? 'api/dial' : `api/dial/${id}`, this.#dialling.base);
    return consoleFetch(path.href, { method: 'POST', headers, body, signal, cache: 'no-store' });
  }

  #take({ type, data }: ServerEvent): void {
    const arrivedMs = this.#now();
    if (type === 'records') {
      this.#takeRecords(JSON.parse(data) as readonly ToldRecord[]);
      return;
    }
    const step = { name: type, ...(JSON.parse(data) as object) } as DialStep;
    this.#offsetMs = Math.min(this.#offsetMs, arrivedMs - step.t);
    this.#events.onStep(step);
    if (step.name === 'dial') {
      this.#id = step.id;
    } else if (step.name === 'opened') {
      this.#state = 'open';
      const { t, subprotocol, extensions } = step;
      this.#events.onOpen(this.#offsetMs + t, t, { subprotocol, extensions });
    } else if (step.name === 'closed') {
      this.#finish();
      const report = closeReportOf(this.#dialling.url, step, this.#pageAsked);
      this.#events.onClose(report, this.#offsetMs + step.t);
    }
  }

  #takeRecords(records: readonly ToldRecord[]): void {
    const frames: ToldFrame[] = [];
    for (const record of records) {
      const atMs = this.#offsetMs + record.t;
      if (record.type === 'frame') {
        frames.push(record);
        if (record.ticket !== undefined) this.#events.onSent(record.ticket, atMs);
      } else {
        this.#events.onMessage(record.text ?? fromBase64(record.base64 ?? '').buffer, atMs);
      }
    }
    if (frames.length > 0) this.#events.onFrames(frames, this.#offsetMs);
  }

  #refuse(problem: string): void {
    this.#finish();
    this.#events.onRefused(problem);
  }

  #finish(): void {
    this.#state = 'over';
    this.#over.abort();
  }

  #giveUp(): void {
    this.#left.abort();
    this.#end('given-up', 'It was given up before the server had answered.');
  }

  #end(cause: string, why: string): void {
    if (this.#state === 'over') return;
    const { url } = this.#dialling;
    const hadOpened = this.#state === 'open';
    this.#finish();
    const closedBy = this.#pageAsked ? 'page' : 'unknown';
    const report = {
      url,
      code: NO_CLOSE_FRAME,
      reason: '',
      closedBy,
      hadOpened,
      cause,
      why,
    } as const;
    this.#events.onClose(report, this.#now());
  }
}
