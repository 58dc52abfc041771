import { formatCount, formatMilliseconds } from '../../lib/figures';
import { isKnownWell } from './known-well';
import styles from './latency-table.module.css';
import type { RunFigures } from './run-figures';
import type { Summary } from './run-report';

const COLUMNS = ['min', 'mean', 'p50', 'p90', 'p95', 'p99', 'p999', 'max'] as const;

const FEW = 'Not known well: fewer than ten values lie beyond it';

/** What took how long, in the percentiles that people quote. */
export function LatencyTable({ figures: { latency, connectMs } }: { figures: RunFigures }) {
  const rows: readonly [string, string, Summary][] = [
    ['Intended', 'since it was due', latency.intended],
    ['Service', 'since it was sent', latency.service],
    ['Scheduling lag', 'sent late by', latency.scheduling_lag],
  ];
  return (
    // A region that scrolls has to be reachable by keyboard.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={styles.scroller} role="region" aria-label="Latency in figures" tabIndex={0}>
      <table className={styles.table}>
        <thead>
          <tr>
            <th scope="col">Latency</th>
            <th scope="col">Count</th>
            {COLUMNS.map((column) => (
              <th key={column} scope="col">
                {column === 'p999' ? 'p99.9' : column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(([name, meaning, summary]) => (
            <Row key={name} name={name} meaning={meaning} summary={summary} />
          ))}
          {latency.script_lag !== undefined && latency.script_lag.count > 0 && (
            <Row
              name="Script lag"
              meaning="the script woken late by"
              summary={latency.script_lag}
            />
          )}
          {connectMs !== null && (
            <Row name="Connect" meaning="TCP and handshake" summary={connectMs} />
          )}
        </tbody>
      </table>
    </div>
  );
}

function Row({ name, meaning, summary }: { name: string; meaning: string; summary: Summary }) {
  return (
    <tr>
      <th scope="row">
        {name} <span className={styles.meaning}>{meaning}</span>
      </th>
      <td>{formatCount(summary.count)}</td>
      {COLUMNS.map((column) => (
        <td key={column} title={isKnownWell(summary, column) ? undefined : FEW}>
          {summary.count === 0
            ? '–'
            : (isKnownWell(summary, column) ? '' : '~') + formatMilliseconds(summary[column])}
        </td>
      ))}
    </tr>
  );
}
