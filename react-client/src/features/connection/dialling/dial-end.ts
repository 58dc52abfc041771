import { NO_CLOSE_FRAME } from '../close-codes';
import type { CloseReport } from '../close-report';
import type { DialEnd } from './told';

const CLOSED = 'closed';

/**
 * What the end of a dialled connection is called where a browser's socket would have ended so: its
 * code, and who closed. Beside it stands why, which a browser hides.
 */
export function closeReportOf(url: string, end: DialEnd, pageAsked: boolean): CloseReport {
  const told = { url, hadOpened: end.opened, cause: end.cause, why: end.why };
  if (end.cause === CLOSED) {
    // The first frame is the one that says why; the other one repeats its code.
    const isByServer = end.closed_first === 'server';
    const { code, reason } = end.received ?? { code: NO_CLOSE_FRAME, reason: '' };
    return { ...told, code, reason, closedBy: isByServer ? 'server' : 'page' };
  }
  const closedBy = pageAsked ? 'page' : 'unknown';
  return { ...told, code: NO_CLOSE_FRAME, reason: '', closedBy };
}
