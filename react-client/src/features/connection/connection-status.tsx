import { formatTimeOfDay } from '../../lib/figures';
import { explainCloseCode } from './close-codes';
import type { ConnectionState } from './connection-state';
import styles from './connection-status.module.css';

/** How the connection stands, in one line that screen readers announce when it changes. */
export function ConnectionStatus({ connection }: { connection: ConnectionState }) {
  return (
    <p className={styles.status} role="status" data-phase={connection.phase}>
      <span className={styles.dot} aria-hidden="true" />
      <span>{describe(connection)}</span>
    </p>
  );
}

function describe(connection: ConnectionState): string {
  switch (connection.phase) {
    case 'idle':
      return 'Not connected';
    case 'connecting':
      return 'Connecting…';
    case 'open':
      return `Connected since ${formatTimeOfDay(connection.openedAtMs, 'seconds')}`;
    case 'closing':
      return 'Closing…';
    case 'closed': {
      const { closedBy, code, hadOpened } = connection.report;
      if (!hadOpened) return closedBy === 'page' ? 'Not connected' : 'No connection';
      return `${CLOSED_BY[closedBy]} · ${String(code)} ${explainCloseCode(code).name}`;
    }
  }
}

const CLOSED_BY = {
  page: 'Closed by you',
  server: 'Closed by the server',
  unknown: 'Connection broken',
} as const;
