/**
 * A figure; `null` where there is none, which is drawn as a gap, never as a zero; `undefined` where
 * this line has no row of its own, over which it is drawn on.
 */
export type Cell = number | null | undefined;

/** What a chart draws: one column of moments, and columns of figures beside it. */
export interface TimeSeries {
  /** Ascending; seconds, on whatever clock the chart shows. */
  readonly times: readonly number[];
  readonly columns: readonly (readonly Cell[])[];
}

/**
 * Breaks the lines where nothing was heard: a row of nulls goes in wherever two moments are
 * further apart than `longestStepS`, so that no line is drawn across what nobody measured.
 *
 * @param isBreak whether the line breaks before a row in any case.
 */
export function withGaps(
  series: TimeSeries,
  longestStepS: number,
  isBreak: (row: number) => boolean = () => false,
): TimeSeries {
  const { times, columns } = series;
  const breaks = times.flatMap((time, row) => {
    const before = times[row - 1];
    return before !== undefined && (time - before > longestStepS || isBreak(row)) ? [row] : [];
  });
  if (breaks.length === 0) return series;
  return {
    times: insertAt(times, breaks, (row) => ((times[row - 1] ?? NaN) + (times[row] ?? NaN)) / 2),
    columns: columns.map((column) => insertAt<Cell>(column, breaks, () => null)),
  };
}

function insertAt<T>(values: readonly T[], rows: readonly number[], make: (row: number) => T): T[] {
  const whole: T[] = [];
  let from = 0;
  for (const row of rows) {
    whole.push(...values.slice(from, row), make(row));
    from = row;
  }
  return whole.concat(values.slice(from));
}

/**
 * At most about so many rows: of each stretch, its first gap and every column's lowest and
 * highest figure stay, so that no peak is lost.
 */
export function decimate(series: TimeSeries, rows: number): TimeSeries {
  const { times, columns } = series;
  if (times.length <= rows) return series;
  const kept = new Set([0, times.length - 1]);
  const stretches = Math.max(1, Math.floor(rows / (2 * Math.max(1, columns.length))));
  const length = times.length / stretches;
  for (let stretch = 0; stretch < stretches; stretch++) {
    const from = Math.floor(stretch * length);
    const to = Math.floor((stretch + 1) * length);
    for (const column of columns) keepExtremes(column, from, to, kept);
  }
  const order = [...kept].sort((a, b) => a - b);
  return {
    times: order.map((row) => times[row] ?? NaN),
    columns: columns.map((column) => order.map((row) => column[row])),
  };
}

function keepExtremes(column: readonly Cell[], from: number, to: number, kept: Set<number>): void {
  let lowest = Infinity;
  let highest = -Infinity;
  let [lowRow, highRow, gapRow] = [-1, -1, -1];
  for (let row = from; row < to; row++) {
    const cell = column[row];
    if (cell === undefined) continue;
    if (cell === null) {
      if (gapRow === -1) gapRow = row;
      continue;
    }
    if (cell < lowest) [lowest, lowRow] = [cell, row];
    if (cell > highest) [highest, highRow] = [cell, row];
  }
  for (const row of [lowRow, highRow, gapRow]) if (row !== -1) kept.add(row);
}

/** The rows from `fromS` on, and the one before them, so that a line enters from the edge. */
export function since(series: TimeSeries, fromS: number): TimeSeries {
  const first = series.times.findIndex((time) => time >= fromS);
  const start = first === -1 ? series.times.length : Math.max(0, first - 1);
  return {
    times: series.times.slice(start),
    columns: series.columns.map((column) => column.slice(start)),
  };
}

/**
 * The rows from one moment to another, both included.
 *
 * @param neighbours how many more rows on each side: with one, a line enters from the edge.
 */
export function between(
  { times, columns }: TimeSeries,
  [fromS, toS]: readonly [number, number],
  neighbours = 0,
): TimeSeries {
  const first = times.findIndex((time) => time >= fromS);
  const start = Math.max(0, (first === -1 ? times.length : first) - neighbours);
  const after = times.findIndex((time) => time > toS);
  const end = (after === -1 ? times.length : after) + neighbours;
  return {
    times: times.slice(start, end),
    columns: columns.map((column) => column.slice(start, end)),
  };
}

/**
 * Several series, each with moments of its own, on one clock of whole seconds. Of figures that
 * fall into the same second, the highest is shown.
 */
export function onWholeSeconds(all: readonly TimeSeries[]): TimeSeries {
  const seconds = new Set(all.flatMap(({ times }) => times.map(Math.floor)));
  const times = [...seconds].sort((a, b) => a - b);
  const rowOf = new Map(times.map((time, row) => [time, row]));
  return {
    times,
    columns: all.flatMap((one) =>
      one.columns.map((column) => {
        const spread = new Array<Cell>(times.length).fill(undefined);
        one.times.forEach((time, index) => {
          const row = rowOf.get(Math.floor(time)) ?? -1;
          const cell = column[index];
          const held = spread[row];
          if (typeof cell === 'number') spread[row] = Math.max(cell, held ?? -Infinity);
          else if (cell === null && held === undefined) spread[row] = null;
        });
        return spread;
      }),
    ),
  };
}
