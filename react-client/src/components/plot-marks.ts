import type UPlot from 'uplot';

import type { ChartMark } from './chart-kinds';
import { inRows } from './chart-labels';
import type { Paints } from './plot-paints';

const PADDING_PX = 3;
const LABEL_HEIGHT_PX = 15;
/** Rows of labels: more would hide the lines. */
const MOST_ROWS = 3;

/** Draw the marks from top to bottom of the plot, each with its label where there is room. */
export function drawMarks(plot: UPlot, marks: readonly ChartMark[], paint: Paints): void {
  if (marks.length === 0) return;
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const right = bbox.left + bbox.width;
  const from = plot.scales.x?.min ?? -Infinity;
  const to = plot.scales.x?.max ?? Infinity;
  ctx.save();
  ctx.lineWidth = ratio;
  ctx.setLineDash([2 * ratio, 3 * ratio]);
  ctx.font = `500 ${String(11 * ratio)}px ${paint.face}`;
  ctx.textAlign = 'left';
  ctx.textBaseline = 'middle';
  const padding = PADDING_PX * ratio;
  const height = LABEL_HEIGHT_PX * ratio;
  const drawn = marks
    .filter((mark) => from <= mark.at && mark.at <= to)
    .map(({ at, label }) => ({
      label,
      x: Math.round(plot.valToPos(at, 'x', true)) + ratio / 2,
      width: ctx.measureText(label).width + 2 * padding,
    }));
  ctx.strokeStyle = paint.grey;
  for (const { x } of drawn) {
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  // All lines before all labels: each stands on a patch of the ground, beside its own line.
  const places = inRows(drawn, { from: bbox.left, to: right }, MOST_ROWS);
  for (const [index, { label, width }] of drawn.entries()) {
    const place = places[index];
    if (place == null) continue;
    const top = bbox.top + place.row * height;
    ctx.fillStyle = paint.surface;
    ctx.fillRect(place.left + ratio, top, width - 2 * ratio, height);
    ctx.fillStyle = paint.grey;
    ctx.fillText(label, place.left + padding, top + height / 2);
  }
  ctx.restore();
}
