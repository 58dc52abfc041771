import { OneShotSocket } from './one-shot-socket';
import type { SocketReport, SocketRequest } from './socket-thread';

/** The thread's side: holds one socket, does what is requested of it and reports what happens. */
export function serveSocket(
  report: (report: SocketReport) => void,
): (request: SocketRequest) => void {
  let socket: OneShotSocket | undefined;

  const open = (url: string, clockOriginMs: number) => {
    const aheadMs = performance.timeOrigin - clockOriginMs;
    const now = () => performance.now() + aheadMs;
    try {
      socket = new OneShotSocket(url, now, {
        onOpen: (atMs, handshakeMs) => {
          report({ type: 'opened', atMs, handshakeMs });
        },
        onMessage: (data, atMs) => {
          report({ type: 'received', data, atMs });
        },
        onClose: (close, atMs) => {
          report({ type: 'closed', report: close, atMs });
        },
      });
    } catch (error) {
      const cause = error instanceof Error ? error.message : String(error);
      report({ type: 'refused', problem: `The browser refuses this address: ${cause}` });
    }
  };

  const send = (ticket: number, text: string) => {
    const atMs = socket?.send(text) ?? null;
    report(atMs === null ? { type: 'unsent', ticket } : { type: 'sent', ticket, atMs });
  };

  return (request) => {
    switch (request.type) {
      case 'open':
        open(request.url, request.clockOriginMs);
        break;
      case 'send':
        send(request.ticket, request.text);
        break;
      case 'close':
        socket?.close();
        break;
    }
  };
}
