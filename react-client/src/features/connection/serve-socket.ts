import { OneShotSocket } from './one-shot-socket';
import { type HostedSocket, hostSocket, type OpenSocket } from './socket-host';
import type { SocketReport, SocketRequest } from './socket-thread';

/** Serve the page a socket that the browser dials. */
export function serveSocket(
  report: (report: SocketReport) => void,
): (request: SocketRequest) => void {
  return hostSocket(report, openInBrowser);
}

const openInBrowser: OpenSocket = (
  { url, subprotocols },
  now,
  events,
): HostedSocket | undefined => {
  try {
    const socket = new OneShotSocket(url, subprotocols, now, events);
    return {
      send: (data, ticket) => {
        const atMs = socket.send(data);
        if (atMs !== null) events.onSent(ticket, atMs);
        return atMs !== null;
      },
      close: (code, reason) => socket.close(code, reason),
    };
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    events.onRefused(`The browser refuses this address: ${cause}`);
    return undefined;
  }
};
