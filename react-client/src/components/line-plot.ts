import 'uplot/dist/uPlot.min.css';

import UPlot from 'uplot';

import type { TimeSeries } from '../lib/time-series';
import type { Unit } from '../lib/units';
import type { AxisRange } from '../lib/zoom-range';
import type { ChartAxis, ChartLimit, ChartLine, ChartMark } from './chart-kinds';
import { axesOf, PADDING_PX } from './plot-axes';
import { listenForDrag } from './plot-drag';
import { drawLimits } from './plot-limits';
import { drawMarks } from './plot-marks';
import { type Paints, paintsOf } from './plot-paints';

export interface PlotOptions {
  readonly lines: readonly ChartLine[];
  readonly axis: ChartAxis;
  readonly unit: Unit;
  /** Charts with the same key show the same moment under the pointer. */
  readonly syncKey?: string | undefined;
  readonly heightPx: number;
  /** The row under the pointer, or `null`. */
  readonly onPoint: (row: number | null) => void;
  /** A range was dragged over; `null`: all is to be shown again. Without it nothing is dragged. */
  readonly onRange?: ((range: AxisRange | null) => void) | undefined;
}

export interface PlotData {
  readonly series: TimeSeries;
  readonly limits: readonly ChartLimit[];
  readonly marks: readonly ChartMark[];
  /** What the axis shows from and to; by default what the series spans. */
  readonly span?: readonly [number, number] | undefined;
}

/** Drawn to scale only if that leaves the figures readable. */
const LIMIT_IN_SIGHT = 4;

/** uPlot behind the little that our charts need of it. Everything it paints comes from tokens. */
export class LinePlot {
  readonly #plot: UPlot;
  readonly #resize: ResizeObserver;
  /** From the order of drawing to the columns of a series. */
  readonly #order: readonly number[];
  readonly #stopListening: () => void;
  #data: PlotData;

  constructor(element: HTMLElement, options: PlotOptions, data: PlotData) {
    this.#data = data;
    const { lines } = options;
    const places = [...lines.keys()];
    const isBeneath = (place: number) => lines[place]?.isBeneath === true;
    this.#order = [...places.filter(isBeneath), ...places.filter((place) => !isBeneath(place))];
    const paint = paintsOf(element);
    this.#plot = new UPlot(
      {
        width: Math.max(1, element.clientWidth),
        height: options.heightPx,
        padding: [10, PADDING_PX, 0, 0],
        legend: { show: false },
        cursor: {
          y: false,
          drag: { x: false, y: false },
          points: { size: 7, width: 2 },
          ...(options.syncKey !== undefined && { sync: { key: options.syncKey } }),
        },
        scales: {
          x: { time: options.axis === 'clock', range: (_, from, to) => this.#xRange(from, to) },
          y: { range: (_, _low, high) => [0, this.#yTop(high)] },
        },
        series: [
          {},
          ...this.#order.flatMap((place) => {
            const line = lines[place];
            return line === undefined ? [] : [seriesOf(line, paint)];
          }),
        ],
        axes: axesOf(options.axis, options.unit, paint),
        hooks: {
          setCursor: [
            (plot) => {
              options.onPoint(plot.cursor.idx ?? null);
            },
          ],
          draw: [
            (plot) => {
              drawMarks(plot, this.#data.marks, paint);
              drawLimits(plot, this.#data.limits, paint);
            },
          ],
        },
      },
      this.#aligned(data.series),
      element,
    );
    this.#stopListening = this.#listen(options.onRange);
    this.#resize = new ResizeObserver(([entry]) => {
      const width = Math.floor(entry?.contentRect.width ?? 0);
      // Nothing, while its view is hidden.
      if (width > 0) this.#plot.setSize({ width, height: options.heightPx });
    });
    this.#resize.observe(element);
  }

  set(data: PlotData): void {
    if (data === this.#data) return;
    this.#data = data;
    this.#plot.setData(this.#aligned(data.series));
  }

  destroy(): void {
    this.#resize.disconnect();
    this.#stopListening();
    this.#plot.destroy();
  }

  #listen(onRange: PlotOptions['onRange']): () => void {
    if (onRange === undefined) return () => undefined;
    const plot = this.#plot;
    const show = (left: number, width: number) => {
      const height = plot.bbox.height / devicePixelRatio;
      plot.setSelect({ left, width, top: 0, height }, false);
    };
    return listenForDrag(plot.over, {
      onDrag: (fromPx, toPx) => show(fromPx, toPx - fromPx),
      onCancel: () => show(0, 0),
      onEnd: (fromPx, toPx) => {
        show(0, 0);
        onRange([plot.posToVal(fromPx, 'x'), plot.posToVal(toPx, 'x')]);
      },
      onDoubleClick: () => onRange(null),
    });
  }

  #aligned({ times, columns }: TimeSeries): UPlot.AlignedData {
    return [[...times], ...this.#order.map((place) => [...(columns[place] ?? [])])];
  }

  #xRange(from: number | null, to: number | null): [number, number] {
    if (this.#data.span !== undefined) return [...this.#data.span];
    const [low, high] = [from ?? 0, to ?? 1];
    return low === high ? [low, low + 1] : [low, high];
  }

  #yTop(high: number | null): number {
    const top = Math.max(high ?? 0, 0);
    const limits = this.#data.limits.map(({ value }) => value);
    const inSight = limits.filter((value) => top === 0 || value <= top * LIMIT_IN_SIGHT);
    const highest = Math.max(top, ...inSight);
    return highest === 0 ? 1 : highest * 1.12;
  }
}

function seriesOf({ label, colour, style = 'line' }: ChartLine, paint: Paints): UPlot.Series {
  const stroke = paint[colour];
  const line = { label, stroke, width: 1.75, points: { show: false } };
  switch (style) {
    case 'line':
      return { ...line, points: lonePoints(stroke) };
    case 'area':
      return { ...line, points: lonePoints(stroke), fill: faint(stroke) };
    case 'dashed':
      return { ...line, points: lonePoints(stroke), dash: [6, 4], width: 1.5 };
    case 'dots':
      return {
        ...line,
        width: 0,
        paths: () => null,
        points: { show: true, size: 6, fill: stroke },
      };
  }
}

/** A figure between two gaps has no line: it is shown as a point. */
function lonePoints(fill: string): UPlot.Series.Points {
  return {
    size: 4,
    fill,
    show: true,
    filter: (plot, seriesIndex) => {
      const column = plot.data[seriesIndex] ?? [];
      const lone: number[] = [];
      let before: 'gap' | 'figure' = 'gap';
      let open = -1;
      for (let row = 0; row < column.length; row++) {
        const cell = column[row];
        if (cell === undefined) continue;
        if (cell === null) {
          if (open !== -1) lone.push(open);
          open = -1;
          before = 'gap';
        } else {
          open = before === 'gap' ? row : -1;
          before = 'figure';
        }
      }
      if (open !== -1) lone.push(open);
      return lone;
    },
  };
}

function faint(colour: string): string {
  const [red, green, blue] = colour.match(/[\d.]+/g) ?? [];
  return `rgb(${red ?? '0'} ${green ?? '0'} ${blue ?? '0'} / 0.1)`;
}
