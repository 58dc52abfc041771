import { MessageChannel } from 'node:worker_threads';

import { serveSocket } from '../features/connection/serve-socket';
import type {
  SocketReport,
  SocketRequest,
  StartSocketThread,
} from '../features/connection/socket-thread';

/** The socket's thread where there are no web workers: the same talk over a real channel. */
export const startSocketChannel: StartSocketThread = (onReport) => {
  const { port1: page, port2: thread } = new MessageChannel();
  const handle = serveSocket((report) => {
    thread.postMessage(report);
  });
  thread.on('message', (request: SocketRequest) => {
    handle(request);
  });
  page.on('message', (report: SocketReport) => {
    onReport(report);
  });
  return {
    post: (request) => {
      page.postMessage(request);
    },
    end: () => {
      page.close();
    },
  };
};
