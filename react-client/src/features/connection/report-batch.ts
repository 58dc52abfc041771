import type { SocketReport } from './socket-thread';

/** Shorter than a frame, so that nothing is drawn later than without batches. */
const GATHERED_MS = 8;

/**
 * Hands reports on at once while they are few, and in batches in a flood: a hop from thread to
 * thread costs more than what is done with a report. The moments in them were taken before.
 */
export function inBatches(
  post: (reports: readonly SocketReport[]) => void,
): (report: SocketReport) => void {
  let gathered: SocketReport[] = [];
  let lastPostMs = -Infinity;
  let isDue = false;

  const flush = () => {
    isDue = false;
    lastPostMs = performance.now();
    const reports = gathered;
    gathered = [];
    post(reports);
  };
  return (report) => {
    gathered.push(report);
    if (isDue) return;
    if (performance.now() - lastPostMs > GATHERED_MS) {
      flush();
    } else {
      isDue = true;
      setTimeout(flush, GATHERED_MS);
    }
  };
}
