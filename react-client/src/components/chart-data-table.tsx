import { useState } from 'react';

import { formatCount } from '../lib/figures';
import type { TimeSeries } from '../lib/time-series';
import type { AxisWords } from './chart-axes';
import styles from './chart-data-table.module.css';
import { CopyButton } from './copy-button';
import type { ChartLimit, ChartLine } from './chart-kinds';
import { VisuallyHidden } from './visually-hidden';

interface ChartDataTableProps {
  title: string;
  axis: AxisWords;
  lines: readonly ChartLine[];
  series: TimeSeries;
  /** Of how many rows these are a part; `null`: they are all. */
  ofMany?: number | null;
  limits: readonly ChartLimit[];
  format: (figure: number) => string;
}

/** A table is for reading; whoever wants more than this copies all of it. */
const ROWS_SHOWN = 120;

/** The figures behind a chart, for whoever cannot see it or wants them exactly. */
export function ChartDataTable(props: ChartDataTableProps) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <details
      className={styles.behind}
      onToggle={(event) => {
        setIsOpen(event.currentTarget.open);
      }}
    >
      <summary className={styles.summary}>
        {/* There is no need to say it twice to those who see the chart above. */}
        Table <VisuallyHidden>of {props.title}</VisuallyHidden>
      </summary>
      {/* Made when asked for: a page full of charts would else hold thousands of cells. */}
      {isOpen && <Table {...props} />}
    </details>
  );
}

function Table(props: ChartDataTableProps) {
  const { title, axis, lines, series, ofMany = null, limits, format } = props;
  const total = series.times.length;
  const first = Math.max(0, total - ROWS_SHOWN);
  const times = timesOf(series.times.slice(first), axis);
  return (
    <>
      <p className={styles.about}>
        <span>
          {first > 0
            ? `The last ${formatCount(ROWS_SHOWN)} of ${formatCount(total)} rows`
            : `${formatCount(total)} rows`}
          {ofMany !== null && ` in this range, of ${formatCount(ofMany)}`}.
          {limits.map(({ label, value }) => ` Limit ${label}: ${format(value)}.`)}
        </span>
        <CopyButton text={() => toCsv(axis, lines, series)} label={`${title} as CSV`} />
      </p>
      {/* A region that scrolls has to be reachable by keyboard. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className={styles.scroller} role="region" aria-label={`Table of ${title}`} tabIndex={0}>
        <table className={styles.table}>
          <thead>
            <tr>
              <th scope="col">{axis.title}</th>
              {lines.map(({ label }) => (
                <th key={label} scope="col">
                  {label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {times
              .map((time, index) => {
                const row = first + index;
                return (
                  <tr key={row}>
                    <th scope="row">{time}</th>
                    {series.columns.map((column, line) => {
                      const cell = column[row];
                      return (
                        <td key={lines[line]?.label ?? line}>
                          {typeof cell === 'number' ? format(cell) : '–'}
                        </td>
                      );
                    })}
                  </tr>
                );
              })
              .reverse()}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** Each row's time; with tenths where two rows would else say the same second. */
function timesOf(moments: readonly number[], axis: AxisWords): string[] {
  const whole = moments.map(axis.format);
  const isDoubled = whole.some((time, row) => time === whole[row - 1]);
  return isDoubled ? moments.map(axis.precise) : whole;
}

/** Exact figures; nothing where there is none. */
export function toCsv(
  axis: AxisWords,
  lines: readonly ChartLine[],
  { times, columns }: TimeSeries,
): string {
  const head = [axis.title, ...lines.map(({ label }) => label)].map(quote);
  const rows = times.map((time, row) => [
    axis.exact(time),
    ...columns.map((column) => column[row] ?? ''),
  ]);
  return [head, ...rows].map((cells) => `${cells.join(',')}\n`).join('');
}

function quote(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
