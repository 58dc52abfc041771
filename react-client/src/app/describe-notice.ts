import type { ConnectionNotice } from '../features/connection/connection-state';

/** What an export says of what happened to the connection. */
export function describeNotice(notice: ConnectionNotice) {
  switch (notice.kind) {
    case 'opened': {
      const { url, handshakeMs, subprotocol, extensions } = notice;
      return { type: 'opened', url, handshake_ms: handshakeMs, subprotocol, extensions };
    }
    case 'reloaded':
      return { type: 'reloaded', not_kept: notice.left };
    case 'ruleStopped':
      return { type: 'rule_stopped', rule: notice.rule, replies: notice.replies };
    case 'failedAgain':
      return { type: 'failed', attempt: notice.attempt };
    case 'closed': {
      const { url, code, reason, closedBy, hadOpened, cause, why } = notice.report;
      return {
        type: hadOpened ? 'closed' : 'failed',
        url,
        code,
        reason,
        closed_by: closedBy,
        lost: notice.lostCount,
        ...(cause !== undefined && { cause, why }),
      };
    }
  }
}
