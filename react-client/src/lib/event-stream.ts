import { consoleFetch } from './console-fetch';

/** One server-sent event, as https://html.spec.whatwg.org/multipage/server-sent-events.html has it. */
export interface ServerEvent {
  readonly type: string;
  readonly data: string;
  /** The last id that the stream has named so far; empty before the first. */
  readonly lastEventId: string;
}

/** Puts events together from text that arrives in pieces of any size. */
export class EventStreamParser {
  #rest = '';
  #data: string[] = [];
  #type = '';
  #lastEventId = '';

  /** The events that this piece completes. */
  feed(piece: string): ServerEvent[] {
    const lines = (this.#rest + piece).split(/\r\n|\n|\r(?!$)/);
    // The last line may go on in the next piece; a CR at its end may turn out to be a CRLF.
    this.#rest = lines.pop() ?? '';
    return lines.flatMap((line) => this.#take(line) ?? []);
  }

  #take(line: string): ServerEvent | undefined {
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return undefined; // a comment: keeps the connection alive
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#type = value;
    else if (field === 'id' && !value.includes('\0')) this.#lastEventId = value;
    return undefined;
  }

  #dispatch(): ServerEvent | undefined {
    const event = {
      type: this.#type === '' ? 'message' : this.#type,
      data: this.#data.join('\n'),
      lastEventId: this.#lastEventId,
    };
    const hasData = this.#data.length > 0;
    this.#data = [];
    this.#type = '';
    return hasData ? event : undefined;
  }
}

interface StreamOptions {
  readonly signal: AbortSignal;
  /** What has been seen already: the stream goes on after it. */
  readonly lastEventId?: string;
  /** Called once the console has answered, before the first event. */
  readonly onOpen?: () => void;
  readonly onEvent: (event: ServerEvent) => void;
}

/**
 * Reads events from a path of the console until the stream ends.
 *
 * Not `EventSource`: that can send no token, hides why it failed, and sets its own pace.
 *
 * @throws ConsoleProblem when the console refuses, what `fetch` throws when it cannot be reached,
 *   and what `onEvent` throws.
 */
export async function readEventStream(path: string, options: StreamOptions): Promise<void> {
  const { signal, lastEventId = '', onOpen, onEvent } = options;
  const headers: Record<string, string> = { Accept: 'text/event-stream' };
  if (lastEventId !== '') headers['Last-Event-ID'] = lastEventId;
  const answer = await consoleFetch(path, { headers, signal, cache: 'no-store' });
  if (!answer.headers.get('Content-Type')?.startsWith('text/event-stream')) {
    void answer.body?.cancel();
    throw new TypeError(`${path} is no event stream`);
  }
  onOpen?.();
  await readEvents(answer, onEvent);
}

/** Reads the events of an answer until it ends. */
export async function readEvents(
  answer: Response,
  onEvent: (event: ServerEvent) => void,
): Promise<void> {
  if (answer.body === null) return;
  const parser = new EventStreamParser();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const event of parser.feed(value)) onEvent(event);
    }
  } finally {
    // Where a listener failed, the connection would be left open; where it has ended, this is idle.
    reader.cancel().catch(() => undefined);
  }
}
