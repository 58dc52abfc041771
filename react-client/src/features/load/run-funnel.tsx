import { formatCount, formatDuration } from '../../lib/figures';
import { Tally, type TallyRow } from '../../components/tally';
import { type RunFigures, sum } from './run-figures';
import styles from './run-funnel.module.css';

/** Every socket, from being asked for to how it ended: it adds up at every moment. */
export function RunFunnel({ figures }: { figures: RunFigures }) {
  const { sockets, report } = figures;
  const { requested, opened, open, opening, notAttempted } = sockets;
  const failed = sum(sockets.failed);
  const waiting = Math.max(0, requested - opened - failed - notAttempted);
  const stretches = [
    { name: 'Opened', count: opened, tone: 'good' },
    { name: 'Under way', count: waiting, tone: 'waiting' },
    { name: 'Failed', count: failed, tone: 'bad' },
    { name: 'Not attempted', count: notAttempted, tone: 'none' },
  ] as const;
  const allOpenS = report?.connections.all_open_after_s ?? null;
  return (
    <section className={styles.funnel} aria-label="Sockets">
      <h3 className={styles.title}>
        Sockets
        <span className={styles.sentence}>
          {formatCount(opened)} of {formatCount(requested)} opened
          {allOpenS !== null && `, all open after ${formatDuration(allOpenS)}`}
        </span>
      </h3>
      <div className={styles.bar} aria-hidden="true">
        {stretches.map(({ name, count, tone }) => (
          <span
            key={name}
            className={styles.stretch}
            data-tone={tone}
            style={{ flexGrow: requested === 0 ? 0 : count / requested }}
          />
        ))}
      </div>
      <dl className={styles.legend}>
        {stretches.map(({ name, count, tone }) => (
          <div key={name} className={styles.entry} data-tone={tone} data-none={count === 0}>
            <dt>{name}</dt>
            <dd>{formatCount(count)}</dd>
          </div>
        ))}
      </dl>
      <div className={styles.columns}>
        <Tally
          title={report === null ? `Open now: ${formatCount(open)}` : 'How they ended'}
          rows={[
            ...(report === null ? [{ name: 'opening', count: opening }] : []),
            ...rowsOf(sockets.closed, ENDINGS, ['clean']),
          ]}
        />
        <Tally
          title="Why they did not open"
          rows={rowsOf(sockets.failed, FAILURES, []).filter(({ count }) => count > 0)}
          whenEmpty="All that were tried opened."
        />
      </div>
    </section>
  );
}

function rowsOf(
  counts: Readonly<Record<string, number>>,
  meanings: Readonly<Record<string, string>>,
  good: readonly string[],
): TallyRow[] {
  return Object.entries(counts).map(([name, count]) => ({
    name: name.replaceAll('_', ' '),
    count,
    meaning: meanings[name],
    tone: good.includes(name) ? 'good' : 'bad',
  }));
}

const ENDINGS: Readonly<Record<string, string>> = {
  clean: 'we closed, the server answered',
  by_peer: 'the server closed first',
  abnormal: 'TCP ended without closing handshake',
  timeout: 'no answer to our close',
};

const FAILURES: Readonly<Record<string, string>> = {
  refused: 'TCP refused',
  timeout: 'not open in time',
  reset: 'reset or ended in the handshake',
  dns: 'the name has no address',
  tls: 'TLS failed',
  rejected: 'answered with an HTTP status',
  protocol: 'what RFC 6455 forbids',
  file_limit: 'this machine is out of files',
  address_in_use: 'this machine is out of ports',
  other: 'anything else',
};
