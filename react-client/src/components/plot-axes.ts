import type UPlot from 'uplot';

import { formatClock, formatElapsed } from '../lib/figures';
import { formatPercentile, LABELLED_NINES } from '../lib/percentile-axis';
import type { Unit } from '../lib/units';
import { insideOf, withoutCollisions } from './chart-labels';
import type { ChartAxis } from './chart-kinds';
import type { Paints } from './plot-paints';

const TIME_STEPS_S = [
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400,
];

/** Room to the right of the plot, where half of the last label stands. */
export const PADDING_PX = 6;

/** Both axes: their lines, and labels that are neither cut nor run into each other. */
export function axesOf(axis: ChartAxis, unit: Unit, paint: Paints): UPlot.Axis[] {
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
      values: (plot, splits) => labels(plot, splits, formatClock, font),
      space: 84,
    },
    elapsed: {
      incrs: TIME_STEPS_S,
      values: (plot, splits) => labels(plot, splits, formatElapsed, font),
      space: 56,
    },
    percentile: {
      splits: (_, _index, from, to) =>
        LABELLED_NINES.filter((nines) => nines >= from && nines <= to),
      values: (plot, splits) => labels(plot, splits, formatPercentile, font),
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

/** Without a label that an edge would cut, or that would run into the next. */
function labels(
  plot: UPlot,
  splits: number[],
  format: (at: number) => string,
  font: string,
): string[] {
  const centresPx = splits.map((at) => plot.valToPos(at, 'x'));
  const widthOfLabel = (label: string) => widthOf(plot, label, font);
  const edges = {
    // Half of the first one stands below the labels of the other axis.
    from: -plot.bbox.left / devicePixelRatio,
    to: plot.bbox.width / devicePixelRatio + PADDING_PX,
  };
  const whole = insideOf(edges, splits.map(format), centresPx, widthOfLabel);
  return withoutCollisions(whole, centresPx, widthOfLabel);
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
