import { inBatches } from './report-batch';
import { serveSocket } from './serve-socket';
import type { SocketRequest } from './socket-thread';

const handle = serveSocket(
  inBatches((reports) => {
    self.postMessage(reports);
  }),
);

self.addEventListener('message', ({ data }: MessageEvent<SocketRequest>) => {
  handle(data);
});
