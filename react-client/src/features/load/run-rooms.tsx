import { Tally } from '../../components/tally';
import { formatCount, formatMilliseconds } from '../../lib/figures';
import table from './latency-table.module.css';
import type { RunFigures } from './run-figures';

const TIMES = ['p50', 'p90', 'p99', 'max'] as const;
const MEANINGS = {
  first: 'until one had it',
  last: 'until all had it',
  each: 'until each had it',
} as const;

/** What the members of rooms were owed, and how long it took; nothing in runs without rooms. */
export function RunRooms({ figures: { report } }: { figures: RunFigures }) {
  const fanOut = report?.fan_out ?? null;
  if (fanOut === null) return null;
  return (
    <>
      {/* A region that scrolls has to be reachable by keyboard. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className={table.scroller} role="region" aria-label="Fan-out" tabIndex={0}>
        <table className={table.table}>
          <thead>
            <tr>
              {['Fan-out', 'Count', ...TIMES].map((column) => (
                <th key={column} scope="col">
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {(['first', 'last', 'each'] as const).map((which) => (
              <tr key={which}>
                <th scope="row">
                  {which} <span className={table.meaning}>{MEANINGS[which]}</span>
                </th>
                <td>{formatCount(fanOut[which].count)}</td>
                {TIMES.map((time) => (
                  <td key={time}>
                    {fanOut[which].count === 0 ? '–' : formatMilliseconds(fanOut[which][time])}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Tally
        title={`Copies owed: ${formatCount(fanOut.owed)}`}
        rows={[
          { name: 'Delivered', count: fanOut.delivered, tone: 'good' },
          { name: 'Missing', count: fanOut.missing, tone: 'bad' },
          { name: 'Unsettled', count: fanOut.unsettled, meaning: 'their subscriber came or left' },
          { name: 'In flight', count: fanOut.in_flight, meaning: 'when it was interrupted' },
          { name: 'Extra', count: fanOut.extra, meaning: 'not owed', tone: 'bad' },
        ]}
      />
    </>
  );
}
