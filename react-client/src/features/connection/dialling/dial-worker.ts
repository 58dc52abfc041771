import { inBatches } from '../report-batch';
import type { SocketRequest } from '../socket-thread';
import { serveDial } from './serve-dial';

const handle = serveDial(
  inBatches((reports) => {
    self.postMessage(reports);
  }),
);

self.addEventListener('message', ({ data }: MessageEvent<SocketRequest>) => {
  handle(data);
});
