import { useEffect, useId, useMemo, useRef, useState } from 'react';

import { useColourScheme } from '../lib/theme-watch';
import { type Cell, decimate, type TimeSeries } from '../lib/time-series';
import type { Unit } from '../lib/units';
import { AXES } from './chart-axes';
import { ChartDataTable } from './chart-data-table';
import styles from './line-chart.module.css';
import {
  type ChartAxis,
  type ChartLimit,
  type ChartLine,
  LinePlot,
  type PlotData,
} from './line-plot';

interface LineChartProps {
  title: string;
  /** One for each column; the same array each time, else the chart is built anew. */
  lines: readonly ChartLine[];
  series: TimeSeries;
  unit: Unit;
  axis?: ChartAxis;
  limits?: readonly ChartLimit[];
  span?: readonly [number, number] | undefined;
  syncKey?: string;
  /** What there is to see, in a sentence, where the title does not say it. */
  note?: string;
  heightPx?: number;
  /** Whether the latest figures are those of now, and shown as such. */
  isLive?: boolean;
}

const NO_LIMITS: readonly ChartLimit[] = [];
/** More rows than pixels tell nothing more. */
const MOST_ROWS_DRAWN = 2_000;
/**
 * Lines over time: a gap where there is no figure, limits straight across, the latest figures (or
 * those under the pointer) beside their names, and all of it as a table behind.
 */
export function LineChart(props: LineChartProps) {
  const { title, lines, series, unit, axis = 'clock' } = props;
  const { limits = NO_LIMITS, span, syncKey, note, heightPx = 168, isLive = true } = props;
  const canvas = useRef<HTMLDivElement>(null);
  const plot = useRef<LinePlot | null>(null);
  const [pointedAt, setPointedAt] = useState<number | null>(null);
  const scheme = useColourScheme();
  const titleId = useId();
  const drawn = useMemo(() => decimate(series, MOST_ROWS_DRAWN), [series]);
  const data = useMemo<PlotData>(() => ({ series: drawn, limits, span }), [drawn, limits, span]);

  const latest = useRef(data);
  useEffect(() => {
    latest.current = data;
    plot.current?.set(data);
  }, [data]);

  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const built = new LinePlot(
      element,
      { lines, axis, unit, syncKey, heightPx, onPoint: setPointedAt },
      latest.current,
    );
    plot.current = built;
    return () => {
      built.destroy();
      plot.current = null;
    };
    // The scheme is no argument, but every colour in there depends on it.
  }, [lines, axis, unit, syncKey, heightPx, scheme]);

  // Of what is drawn, which may have fewer rows than the series.
  const row = pointedAt === null || pointedAt >= drawn.times.length ? null : pointedAt;
  const moment = row === null ? undefined : drawn.times[row];
  const isEmpty = !series.columns.some((column) => column.some(isFigure));

  return (
    <figure className={styles.chart} aria-labelledby={titleId}>
      <figcaption className={styles.caption}>
        <span id={titleId} className={styles.title}>
          {title}
        </span>
        <span className={styles.moment}>
          {moment === undefined ? '' : AXES[axis].format(moment)}
        </span>
      </figcaption>
      <ul className={styles.legend}>
        {lines.map(({ label, colour, style = 'line' }, index) => {
          const latestFigure = () => series.columns[index]?.findLast((cell) => cell !== undefined);
          const figure = row === null ? latestFigure() : drawn.columns[index]?.[row];
          return (
            <li key={label} className={styles.entry} data-colour={colour} data-style={style}>
              {label}
              {(isLive || row !== null) && (
                <span className={styles.figure}>
                  {isFigure(figure) ? unit.format(figure) : '–'}
                </span>
              )}
            </li>
          );
        })}
      </ul>
      <div className={styles.frame}>
        <div
          ref={canvas}
          className={styles.canvas}
          aria-hidden="true"
          style={{ height: heightPx }}
        />
        {isEmpty && (
          <p className={styles.empty}>
            <span>No figures yet</span>
          </p>
        )}
      </div>
      {note !== undefined && <p className={styles.note}>{note}</p>}
      <ChartDataTable
        title={title}
        axis={AXES[axis]}
        lines={lines}
        series={series}
        limits={limits}
        format={unit.format}
      />
    </figure>
  );
}

function isFigure(cell: Cell): cell is number {
  return typeof cell === 'number';
}
