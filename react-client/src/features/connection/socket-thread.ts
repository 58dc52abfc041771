import type { Automation, SentBy } from '../../lib/automation';
import { consoleToken } from '../../lib/console-fetch';
import type { Outgoing, SendPlan } from '../../lib/send-plan';
import type { CloseReport } from './close-report';
import type { DialStep, ToldFrame } from './dialling/told';

/**
 * What is said between the page and the thread that holds its socket.
 *
 * The socket lives in a worker because the page's thread draws: measured there on loopback, a
 * round trip of 1 ms read 8 to 23 ms, most of it the page's own drawing of the message just sent.
 */
export type SocketRequest =
  /** Where the console is, and its token: what a thread cannot know. Comes before `open`. */
  | { readonly type: 'console'; readonly base: string; readonly token: string | null }
  /** `clockOriginMs`: the page's `performance.timeOrigin`, for all moments are on its clock. */
  | {
      readonly type: 'open';
      readonly url: string;
      readonly subprotocols: readonly string[];
      readonly clockOriginMs: number;
      readonly automation?: Automation | undefined;
      /** How the console is to dial, a `DialForm` as JSON; absent for a socket of the browser's. */
      readonly through?: string;
      /** Further headers for the console to send. */
      readonly headers?: readonly (readonly [name: string, value: string])[] | undefined;
    }
  | { readonly type: 'send'; readonly ticket: number; readonly data: Outgoing }
  /** Takes the place of a plan under way; what is reported of a plan names its id. */
  | { readonly type: 'start'; readonly planId: number; readonly plan: SendPlan }
  | { readonly type: 'stop' }
  /** Without a code it is 1000. */
  | {
      readonly type: 'close';
      readonly code?: number | undefined;
      readonly reason?: string | undefined;
    };

export type SocketReport =
  | { readonly type: 'refused'; readonly problem: string }
  | {
      readonly type: 'opened';
      readonly atMs: number;
      readonly handshakeMs: number;
      readonly subprotocol: string;
      readonly extensions: string;
    }
  | { readonly type: 'sent'; readonly ticket: number; readonly atMs: number }
  | { readonly type: 'unsent'; readonly ticket: number }
  /** One of the plan was sent, so long after it was due. */
  | {
      readonly type: 'planned';
      readonly planId: number;
      readonly data: Outgoing;
      readonly atMs: number;
      readonly lateMs: number;
    }
  /** One that the connection has sent by itself. */
  | {
      readonly type: 'automatic';
      readonly data: Outgoing;
      readonly atMs: number;
      readonly by: SentBy;
    }
  /** A rule, counted from 1, that sends no more: so many replies in a short time look like a loop. */
  | {
      readonly type: 'ruleStopped';
      readonly rule: number;
      readonly replies: number;
      readonly atMs: number;
    }
  | { readonly type: 'planEnded'; readonly planId: number; readonly why: 'done' | 'stopped' }
  | { readonly type: 'received'; readonly data: string | ArrayBuffer; readonly atMs: number }
  | { readonly type: 'closed'; readonly report: CloseReport; readonly atMs: number }
  /** Of a connection that the console dials. */
  | { readonly type: 'step'; readonly step: DialStep }
  | {
      readonly type: 'frames';
      readonly frames: readonly ToldFrame[];
      /** What to add to their times. */
      readonly offsetMs: number;
    };

export interface SocketThread {
  readonly post: (request: SocketRequest) => void;
  readonly end: () => void;
}

/** Starts the thread of one socket: of the browser's, or of one that the console dials. */
export type StartSocketThread = (
  onReport: (report: SocketReport) => void,
  isDialled: boolean,
) => SocketThread;

export const startSocketWorker: StartSocketThread = (onReport, isDialled) => {
  const worker = isDialled
    ? new Worker(new URL('./dialling/dial-worker.ts', import.meta.url), { type: 'module' })
    : new Worker(new URL('./socket-worker.ts', import.meta.url), { type: 'module' });
  if (isDialled) {
    worker.postMessage({ type: 'console', base: document.baseURI, token: consoleToken() });
  }
  worker.addEventListener('message', ({ data }: MessageEvent<readonly SocketReport[]>) => {
    for (const report of data) onReport(report);
  });
  worker.addEventListener('error', () => {
    onReport({ type: 'refused', problem: 'The browser would not start the socket’s thread.' });
  });
  return {
    post: (request) => {
      worker.postMessage(request);
    },
    end: () => {
      worker.terminate();
    },
  };
};
