import { rememberConsoleToken } from '../../../lib/console-fetch';
import { hostSocket } from '../socket-host';
import type { SocketReport, SocketRequest } from '../socket-thread';
import { DialledSocket } from './dialled-socket';

/** Serve the page a socket that the console dials, and what the console tells of it. */
export function serveDial(
  report: (report: SocketReport) => void,
): (request: SocketRequest) => void {
  let base = '';
  const handle = hostSocket(report, (request, now, events) => {
    const { url, subprotocols, through = '{}', headers = [] } = request;
    return new DialledSocket({ url, subprotocols, through, headers, base }, now, {
      ...events,
      onStep: (step) => {
        report({ type: 'step', step });
      },
      onFrames: (frames, offsetMs) => {
        report({ type: 'frames', frames, offsetMs });
      },
    });
  });
  return (request) => {
    if (request.type !== 'console') {
      handle(request);
      return;
    }
    base = request.base;
    // A thread has no storage of the page's.
    if (request.token !== null) rememberConsoleToken(request.token);
  };
}
