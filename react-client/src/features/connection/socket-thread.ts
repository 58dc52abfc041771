import type { CloseReport } from './close-report';

/**
 * What is said between the page and the thread that holds its socket.
 *
 * The socket lives in a worker because the page's thread draws: measured there on loopback, a
 * round trip of 1 ms read 8 to 23 ms, most of it the page's own drawing of the message just sent.
 */
export type SocketRequest =
  /** `clockOriginMs`: the page's `performance.timeOrigin`, for all moments are on its clock. */
  | { readonly type: 'open'; readonly url: string; readonly clockOriginMs: number }
  | { readonly type: 'send'; readonly ticket: number; readonly text: string }
  | { readonly type: 'close' };

export type SocketReport =
  | { readonly type: 'refused'; readonly problem: string }
  | { readonly type: 'opened'; readonly atMs: number; readonly handshakeMs: number }
  | { readonly type: 'sent'; readonly ticket: number; readonly atMs: number }
  | { readonly type: 'unsent'; readonly ticket: number }
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
  worker.addEventListener('message', ({ data }: MessageEvent<SocketReport>) => {
    onReport(data);
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
