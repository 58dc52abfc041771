import { serveSocket } from './serve-socket';
import type { SocketRequest } from './socket-thread';

const handle = serveSocket((report) => {
  self.postMessage(report);
});

self.addEventListener('message', ({ data }: MessageEvent<SocketRequest>) => {
  handle(data);
});
