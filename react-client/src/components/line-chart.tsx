import { useEffect, useId, useMemo, useRef, useState } from 'react';

import { useColours } from '../lib/theme-watch';
import { between, type Cell, decimate, type TimeSeries } from '../lib/time-series';
import type { Unit } from '../lib/units';
import { type AxisRange, withinWhole } from '../lib/zoom-range';
import { AXES } from './chart-axes';
import card from './chart-card.module.css';
import { ChartDataTable } from './chart-data-table';
import type { ChartAxis, ChartLimit, ChartLine, ChartMark } from './chart-kinds';
import { useZoom } from './chart-zoom';
import styles from './line-chart.module.css';
import { LinePlot, type PlotData } from './line-plot';
import { ZoomFrame } from './zoom-frame';

interface LineChartProps {
  title: string;
  /** One for each column; the same array each time, else the chart is built anew. */
  lines: readonly ChartLine[];
  series: TimeSeries;
  unit: Unit;
  axis?: ChartAxis;
  limits?: readonly ChartLimit[];
  /** In their order. */
  marks?: readonly ChartMark[];
  span?: readonly [number, number] | undefined;
  syncKey?: string;
  /** What there is to see, in a sentence, where the title does not say it. */
  note?: string;
  heightPx?: number;
  /** Whether the latest figures are those of now, and shown as such. */
  isLive?: boolean;
}

const NO_LIMITS: readonly ChartLimit[] = [];
const NO_MARKS: readonly ChartMark[] = [];
/** More rows than pixels tell nothing more. */
const MOST_ROWS_DRAWN = 2_000;
/**
 * Lines over time: a gap where there is no figure, limits straight across, the latest figures (or
 * those under the pointer) beside their names, and all of it as a table behind. Among
 * `ZoomedCharts` a part of it can be looked at.
 */
export function LineChart(props: LineChartProps) {
  const { title, lines, series, unit, axis = 'clock' } = props;
  const {
    limits = NO_LIMITS,
    marks = NO_MARKS,
    span,
    syncKey,
    note,
    heightPx = 168,
    isLive = true,
  } = props;
  const canvas = useRef<HTMLDivElement>(null);
  const plot = useRef<LinePlot | null>(null);
  const [pointedAt, setPointedAt] = useState<number | null>(null);
  const colours = useColours();
  const titleId = useId();
  const zoom = useZoom(axis);
  const range = zoom?.range ?? null;
  const onRange = zoom?.show;
  // What the table and the legend speak of; the lines go on to the edges.
  const inRange = useMemo(
    () => (range === null ? series : between(series, range)),
    [series, range],
  );
  const drawn = useMemo(
    () => decimate(range === null ? series : between(series, range, 1), MOST_ROWS_DRAWN),
    [series, range],
  );
  const data = useMemo<PlotData>(
    () => ({ series: drawn, limits, marks, span: range ?? span }),
    [drawn, limits, marks, range, span],
  );

  const whole = useMemo<AxisRange>(
    () => span ?? [series.times[0] ?? 0, series.times.at(-1) ?? 0],
    [series, span],
  );
  const latest = useRef(data);
  const wholeNow = useRef(whole);
  useEffect(() => {
    latest.current = data;
    wholeNow.current = whole;
    plot.current?.set(data);
  }, [data, whole]);

  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const built = new LinePlot(
      element,
      {
        lines,
        axis,
        unit,
        syncKey,
        heightPx,
        onPoint: setPointedAt,
        onRange: onRange && ((chosen) => onRange(chosen && withinWhole(chosen, wholeNow.current))),
      },
      latest.current,
    );
    plot.current = built;
    return () => {
      built.destroy();
      plot.current = null;
    };
    // They are no argument, but all that is painted in there is painted in them.
  }, [lines, axis, unit, syncKey, heightPx, onRange, colours]);

  // Of what is drawn, which may have fewer rows than the series.
  const row = pointedAt === null || pointedAt >= drawn.times.length ? null : pointedAt;
  const moment = row === null ? undefined : drawn.times[row];
  const isEmpty = !inRange.columns.some((column) => column.some(isFigure));

  return (
    <figure className={styles.chart} aria-labelledby={titleId}>
      <figcaption className={card.caption}>
        <span id={titleId} className={card.name}>
          {title}
        </span>
        <span className={styles.moment}>
          {moment === undefined ? '' : AXES[axis].format(moment)}
        </span>
      </figcaption>
      <ul className={styles.legend}>
        {lines.map(({ label, colour, style = 'line' }, index) => {
          const latestFigure = () => inRange.columns[index]?.findLast((cell) => cell !== undefined);
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
      <ZoomFrame className={styles.frame} title={title} zoom={zoom} whole={whole} at={moment}>
        <div
          ref={canvas}
          className={styles.canvas}
          aria-hidden="true"
          style={{ height: heightPx }}
        />
        {isEmpty && (
          <p className={styles.empty}>
            <span>{range === null ? 'No figures yet' : 'No figures here'}</span>
          </p>
        )}
      </ZoomFrame>
      {note !== undefined && <p className={styles.note}>{note}</p>}
      <ChartDataTable
        title={title}
        axis={AXES[axis]}
        lines={lines}
        series={inRange}
        ofMany={range === null ? null : series.times.length}
        limits={limits}
        format={unit.format}
      />
    </figure>
  );
}

function isFigure(cell: Cell): cell is number {
  return typeof cell === 'number';
}
