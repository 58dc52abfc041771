import { useState } from 'react';

import { formatCount } from '../lib/figures';
import type { TimeSeries } from '../lib/time-series';
import styles from './chart-data-table.module.css';
import { CopyButton } from './copy-button';
import type { ChartLimit, ChartLine } from './line-plot';

interface ChartDataTableProps {
  title: string;
  axisTitle: string;
  lines: readonly ChartLine[];
  series: TimeSeries;
  limits: readonly ChartLimit[];
  formatTime: (time: number) => string;
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
        Table <span className={styles.of}>of {props.title}</span>
      </summary>
      {/* Made when asked for: a page full of charts would else hold thousands of cells. */}
      {isOpen && <Table {...props} />}
    </details>
  );
}

function Table(props: ChartDataTableProps) {
  const { title, axisTitle, lines, series, limits, formatTime, format } = props;
  const total = series.times.length;
  const first = Math.max(0, total - ROWS_SHOWN);
  return (
    <>
      <p className={styles.about}>
        <span>
          {first > 0
            ? `The last ${formatCount(ROWS_SHOWN)} of ${formatCount(total)} rows.`
            : `${formatCount(total)} rows.`}
          {limits.map(({ label, value }) => ` Limit ${label}: ${format(value)}.`)}
        </span>
        <CopyButton text={toCsv(axisTitle, lines, series)} label={`${title} as CSV`} />
      </p>
      {/* A region that scrolls has to be reachable by keyboard. */}
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className={styles.scroller} role="region" aria-label={`Table of ${title}`} tabIndex={0}>
        <table className={styles.table}>
          <thead>
            <tr>
              <th scope="col">{axisTitle}</th>
              {lines.map(({ label }) => (
                <th key={label} scope="col">
                  {label}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {series.times
              .map((time, row) => (
                <tr key={row}>
                  <th scope="row">{formatTime(time)}</th>
                  {series.columns.map((column, index) => {
                    const cell = column[row];
                    return (
                      <td key={lines[index]?.label ?? index}>
                        {typeof cell === 'number' ? format(cell) : '–'}
                      </td>
                    );
                  })}
                </tr>
              ))
              .slice(first)
              .reverse()}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** Exact figures; nothing where there is none. */
export function toCsv(
  axisTitle: string,
  lines: readonly ChartLine[],
  { times, columns }: TimeSeries,
): string {
  const head = [axisTitle, ...lines.map(({ label }) => label)].map(quote);
  const rows = times.map((time, row) => [time, ...columns.map((column) => column[row] ?? '')]);
  return [head, ...rows].map((cells) => `${cells.join(',')}\n`).join('');
}

function quote(text: string): string {
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
