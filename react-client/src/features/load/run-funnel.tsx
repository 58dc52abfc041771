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
            data-stretch=""
            data-tone={tone}
            style={{ flexGrow: requested === 0 ? 0 : count / requested }}
          />
        ))}
      </div>
      <dl className={styles.legend}>
        {stretches.map(({ name, count, tone }) => (
          <div
            key={name}
            className={styles.entry}
            data-swatch=""
            data-tone={tone}
            data-none={count === 0}
          >
            <dt>{name}</dt>
            <dd>{formatCount(count)}</dd>
          </div>
        ))}
      </dl>
      <div className={styles.columns}>
        <Tally
          title={report === null ? `Open now: ${formatCount(open)}` : 'How they ended'}
          rows={[
            ...(report === null ? [{ name: 'Opening', count: opening }] : []),
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
  words: Words,
  good: readonly string[],
): TallyRow[] {
  return Object.entries(counts).map(([name, count]) => ({
    ...(words[name] ?? { name: name.replaceAll('_', ' ') }),
    count,
    tone: good.includes(name) ? 'good' : 'bad',
  }));
}

type Words = Readonly<Partial<Record<string, Pick<TallyRow, 'name' | 'meaning'>>>>;

const ENDINGS: Words = {
  clean: { name: 'Cleanly', meaning: 'we closed, the server answered' },
  by_peer: { name: 'By the server', meaning: 'it closed first' },
  abnormal: { name: 'Broken', meaning: 'TCP ended without closing handshake' },
  timeout: { name: 'Unanswered', meaning: 'no answer to our close' },
};

const FAILURES: Words = {
  refused: { name: 'Refused', meaning: 'by TCP: nothing listens there' },
  timeout: { name: 'Timeout', meaning: 'not open in time' },
  reset: { name: 'Reset', meaning: 'or ended in the handshake' },
  dns: { name: 'Name not found', meaning: 'it has no address' },
  tls: { name: 'TLS failed' },
  rejected: { name: 'Rejected', meaning: 'answered with an HTTP status' },
  protocol: { name: 'Protocol', meaning: 'what RFC 6455 forbids' },
  greeting: { name: 'No greeting', meaning: 'what was expected first did not come' },
  file_limit: { name: 'File limit', meaning: 'this machine is out of files' },
  address_in_use: { name: 'Out of ports', meaning: 'this machine has no free address' },
  other: { name: 'Other', meaning: 'anything else' },
};
