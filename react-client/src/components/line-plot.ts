import 'uplot/dist/uPlot.min.css';

import UPlot from 'uplot';

import { formatClock, formatElapsed } from '../lib/figures';
import { formatPercentile, LABELLED_NINES } from '../lib/percentile-axis';
import type { TimeSeries } from '../lib/time-series';
import type { Unit } from '../lib/units';
import { stacked, withoutCollisions } from './chart-labels';

export type ChartColour = 'teal' | 'blue' | 'amber' | 'rose' | 'grey' | 'bad';

export interface ChartLine {
  readonly label: string;
  readonly colour: ChartColour;
  /** `dots` for what happens now and then; `dashed` for the second of two runs. */
  readonly style?: 'line' | 'area' | 'dots' | 'dashed';
}

/** A line straight across: what a figure should not exceed, or what it was to reach. */
export interface ChartLimit {
  readonly label: string;
  readonly value: number;
  readonly colour?: 'bad' | 'grey';
}

/** What the horizontal axis means: time of day, seconds since a start, or a percentile. */
export type ChartAxis = 'clock' | 'elapsed' | 'percentile';

export interface PlotOptions {
  readonly lines: readonly ChartLine[];
  readonly axis: ChartAxis;
  readonly unit: Unit;
  /** Charts with the same key show the same moment under the pointer. */
  readonly syncKey?: string | undefined;
  readonly heightPx: number;
  /** The row under the pointer, or `null`. */
  readonly onPoint: (row: number | null) => void;
}

export interface PlotData {
  readonly series: TimeSeries;
  readonly limits: readonly ChartLimit[];
  /** What the axis shows from and to; by default what the series spans. */
  readonly span?: readonly [number, number] | undefined;
}

const LABEL_HEIGHT_PX = 15;
/** Drawn to scale only if that leaves the figures readable. */
const LIMIT_IN_SIGHT = 4;
const TIME_STEPS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400,
];

/** uPlot behind the little that our charts need of it. Everything it paints comes from tokens. */
export class LinePlot {
  readonly #plot: UPlot;
  readonly #resize: ResizeObserver;
  #data: PlotData;

  constructor(element: HTMLElement, options: PlotOptions, data: PlotData) {
    this.#data = data;
    const paint = paints(element);
    this.#plot = new UPlot(
      {
        width: Math.max(1, element.clientWidth),
        height: options.heightPx,
        padding: [10, 6, 0, 0],
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
        series: [{}, ...options.lines.map((line) => seriesOf(line, paint))],
        axes: axesOf(options, paint),
        hooks: {
          setCursor: [
            (plot) => {
              options.onPoint(plot.cursor.idx ?? null);
            },
          ],
          draw: [
            (plot) => {
              this.#drawLimits(plot, paint);
            },
          ],
        },
      },
      aligned(data.series),
      element,
    );
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
    this.#plot.setData(aligned(data.series));
  }

  destroy(): void {
    this.#resize.disconnect();
    this.#plot.destroy();
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

  #drawLimits(plot: UPlot, paint: Paints): void {
    const { ctx, bbox } = plot;
    const ratio = devicePixelRatio;
    const top = plot.scales.y?.max ?? 0;
    ctx.save();
    ctx.lineWidth = ratio;
    ctx.setLineDash([5 * ratio, 4 * ratio]);
    ctx.font = `500 ${String(11 * ratio)}px ${paint.face}`;
    ctx.textAlign = 'right';
    ctx.textBaseline = 'bottom';
    const limits = this.#data.limits.filter(({ value }) => value <= top);
    const heights = limits.map(
      ({ value }) => Math.round(plot.valToPos(value, 'y', true)) + ratio / 2,
    );
    const places = stacked(heights, LABEL_HEIGHT_PX * ratio);
    // All lines before all labels, which no line should go through.
    for (const [index, { colour = 'bad' }] of limits.entries()) {
      ctx.strokeStyle = paint[colour];
      ctx.beginPath();
      ctx.moveTo(bbox.left, heights[index] ?? 0);
      ctx.lineTo(bbox.left + bbox.width, heights[index] ?? 0);
      ctx.stroke();
    }
    for (const [index, { label, colour = 'bad' }] of limits.entries()) {
      const y = places[index] ?? 0;
      // On a patch of the ground, so that no line is drawn through its letters.
      const right = bbox.left + bbox.width;
      const width = ctx.measureText(label).width + 6 * ratio;
      ctx.fillStyle = paint.surface;
      ctx.fillRect(right - width, y - 17 * ratio, width, LABEL_HEIGHT_PX * ratio);
      ctx.fillStyle = paint[colour];
      ctx.fillText(label, right - 3 * ratio, y - 3 * ratio);
    }
    ctx.restore();
  }
}

function aligned({ times, columns }: TimeSeries): UPlot.AlignedData {
  return [[...times], ...columns.map((column) => [...column])];
}

type Paints = Readonly<Record<ChartColour | 'text' | 'line' | 'surface' | 'face', string>>;

/** The tokens in force, as a canvas understands them: no `var()`, no `light-dark()`. */
function paints(element: HTMLElement): Paints {
  const probe = document.createElement('span');
  // A high-contrast theme would give all lines one colour.
  probe.style.setProperty('forced-color-adjust', 'none');
  element.append(probe);
  const colourOf = (token: string) => {
    probe.style.color = `var(${token})`;
    return getComputedStyle(probe).color;
  };
  const resolved = {
    teal: colourOf('--chart-teal'),
    blue: colourOf('--chart-blue'),
    amber: colourOf('--chart-amber'),
    rose: colourOf('--chart-rose'),
    grey: colourOf('--chart-grey'),
    bad: colourOf('--bad'),
    text: colourOf('--text-soft'),
    line: colourOf('--line'),
    surface: colourOf('--surface'),
    face: getComputedStyle(element).fontFamily,
  };
  probe.remove();
  return resolved;
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

function axesOf({ axis, unit }: PlotOptions, paint: Paints): UPlot.Axis[] {
  const font = `11px ${paint.face}`;
  const shared = {
    stroke: paint.text,
    font,
    grid: { stroke: paint.line, width: 1 },
    ticks: { show: false },
  };
  const horizontal: Record<ChartAxis, UPlot.Axis> = {
    clock: {
      incrs: TIME_STEPS_S,
      values: (plot, splits) => labels(plot, splits, formatClock),
      space: 84,
    },
    elapsed: {
      incrs: TIME_STEPS_S,
      values: (plot, splits) => labels(plot, splits, formatElapsed),
      space: 56,
    },
    percentile: {
      splits: (_, _index, from, to) =>
        LABELLED_NINES.filter((nines) => nines >= from && nines <= to),
      values: (plot, splits) => spacedLabels(plot, splits, formatPercentile, font),
      space: 0,
    },
  };
  return [
    { ...shared, grid: { show: false }, size: 30, ...horizontal[axis] },
    {
      ...shared,
      size: (plot, values) => axisWidth(plot, values, font),
      space: 34,
      incrs: [...unit.steps],
      values: (_, splits) => splits.map(unit.formatAxis),
    },
  ];
}

/** Without a label that the right edge would cut. */
function labels(plot: UPlot, splits: number[], format: (moment: number) => string): string[] {
  const edgePx = plot.bbox.width / devicePixelRatio - HALF_A_LABEL_PX;
  return splits.map((moment) => (plot.valToPos(moment, 'x') > edgePx ? '' : format(moment)));
}

const HALF_A_LABEL_PX = 22;

/** Without a label that would run into the next: there is room for few of them on a phone. */
function spacedLabels(
  plot: UPlot,
  splits: number[],
  format: (at: number) => string,
  font: string,
): string[] {
  const centresPx = splits.map((at) => plot.valToPos(at, 'x'));
  return withoutCollisions(splits.map(format), centresPx, (label) => widthOf(plot, label, font));
}

function widthOf({ ctx }: UPlot, label: string, font: string): number {
  ctx.save();
  ctx.font = font;
  const { width } = ctx.measureText(label);
  ctx.restore();
  return width;
}

/** As wide as its widest label. */
function axisWidth(plot: UPlot, values: string[] | null, font: string): number {
  const widest = Math.max(0, ...(values ?? []).map((value) => widthOf(plot, value, font)));
  return Math.ceil(widest) + 16;
}
