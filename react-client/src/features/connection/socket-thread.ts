import type { Automation, SentBy } from '../../lib/automation';
import type { CloseReport } from './close-report';
import type { Outgoing, SendPlan } from '../../lib/send-plan';

/**
 * What is said between the page and the thread that holds its socket.
 *
 * The socket lives in a worker because the page's thread draws: measured there on loopback, a
 * round trip of 1 ms read 8 to 23 ms, most of it the page's own drawing of the message just sent.
 */
export type SocketRequest =
  /** `clockOriginMs`: the page's `performance.timeOrigin`, for all moments are on its clock. */
  | {
      readonly type: 'open';
      readonly url: string;
      readonly subprotocols: readonly string[];
      readonly clockOriginMs: number;
      readonly automation?: Automation | undefined;
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
  | { readonly type: 'closed'; readonly report: CloseReport; readonly atMs: number };

export interface SocketThread {
  readonly post: (request: SocketRequest) => void;
  readonly end: () => void;
}

/** Starts the thread of one socket. */
export type StartSocketThread = (onReport: (report: SocketReport) => void) => SocketThread;

export const startSocketWorker: StartSocketThread = (onReport) => {
  const worker = new Worker(new URL('./socket-worker.ts', import.meta.url), { type: 'module' });
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
