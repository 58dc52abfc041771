import type { ReactNode } from 'react';

import { Tally } from '../../components/tally';
import { formatCount, formatMilliseconds } from '../../lib/figures';
import table from './latency-table.module.css';
import type { Summary, Users } from './run-report';
import type { RunFigures } from './run-figures';
import styles from './run-scenario.module.css';

/** What a scenario's users did: how they ended, and its steps, checks, streams and counters. */
export function RunScenario({ figures: { report } }: { figures: RunFigures }) {
  if (report?.users == null) return null;
  const { users, steps = [], checks = [], streams = [], counters = {} } = report;
  return (
    <section className={styles.scenario} aria-label="Scenario">
      <UsersTally users={users} />
      <Figures
        name="Step"
        columns={[
          'kind',
          'count',
          'ok',
          'failed',
          'lost',
          'in flight',
          'intended p50',
          'p99',
          'service p50',
          'p99',
        ]}
        rows={steps.map((step) => [
          step.name,
          step.kind,
          ...[step.count, step.ok, step.failed, step.lost, step.in_flight].map(formatCount),
          ...middleAndTail(step.intended),
          ...middleAndTail(step.service),
        ])}
      />
      <Figures
        name="Check"
        columns={['passed', 'failed']}
        rows={checks.map((check) => [
          check.name,
          formatCount(check.passed),
          formatCount(check.failed),
        ])}
      />
      <Figures
        name="Stream"
        columns={['received', 'gaps', 'reordered', 'duplicate', 'age p50', 'p99']}
        rows={streams.map((stream) => [
          stream.name,
          ...[stream.received, stream.gaps, stream.reordered, stream.duplicate].map(formatCount),
          ...middleAndTail(stream.age),
        ])}
      />
      <Figures
        name="Counter"
        columns={['count']}
        rows={Object.entries(counters).map(([name, count]) => [name, formatCount(count)])}
      />
    </section>
  );
}

function UsersTally({ users }: { users: Users }) {
  return (
    <div>
      <Tally
        title={`Users: ${formatCount(users.requested)}`}
        rows={[
          { name: 'Finished', count: users.finished, tone: 'good' },
          { name: 'Failed', count: users.failed, tone: 'bad' },
          { name: 'Interrupted', count: users.interrupted },
          { name: 'Not started', count: users.not_started },
        ]}
      />
      {Object.entries(users.failed_by).map(([cause, count]) => (
        <details key={cause} className={styles.cause}>
          <summary>
            {formatCount(count)} × {cause}
          </summary>
          {/* A region that scrolls has to be reachable by keyboard. */}
          {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
          <pre className={styles.traceback} role="region" aria-label={cause} tabIndex={0}>
            {users.tracebacks[cause]}
          </pre>
        </details>
      ))}
    </div>
  );
}

interface FiguresProps {
  /** What a row is; it heads the first column. */
  name: string;
  /** The other columns. */
  columns: readonly string[];
  rows: readonly (readonly [string, ...string[]])[];
}

function Figures({ name, columns, rows }: FiguresProps): ReactNode {
  if (rows.length === 0) return null;
  return (
    // As above.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={table.scroller} role="region" aria-label={`${name}s`} tabIndex={0}>
      <table className={table.table}>
        <thead>
          <tr>
            {[name, ...columns].map((column, place) => (
              // Two columns may have the same name: their place tells them apart.
              <th key={place} scope="col">
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(([first, ...others], place) => (
            <tr key={place}>
              <th scope="row">{first}</th>
              {others.map((figure, column) => (
                <td key={column} data-tone={isWrong(columns[column], figure) ? 'bad' : undefined}>
                  {figure}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The columns that count what went wrong. */
const WRONG: ReadonlySet<string> = new Set(['failed', 'lost', 'gaps', 'reordered', 'duplicate']);

function isWrong(column: string | undefined, figure: string): boolean {
  return column !== undefined && WRONG.has(column) && figure !== '0';
}

/** The median and the 99th percentile; dashes for what nothing measured. */
function middleAndTail(summary: Summary | null): string[] {
  return summary === null || summary.count === 0
    ? ['–', '–']
    : [formatMilliseconds(summary.p50), formatMilliseconds(summary.p99)];
}
