import type UPlot from 'uplot';

import type { ChartMark } from './chart-kinds';
import type { Paints } from './plot-paints';

const PADDING_PX = 3;
const LABEL_HEIGHT_PX = 15;

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
  let taken = bbox.left;
  for (const { at, label } of marks.filter((mark) => from <= mark.at && mark.at <= to)) {
    const x = Math.round(plot.valToPos(at, 'x', true)) + ratio / 2;
    ctx.strokeStyle = paint.grey;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    const width = ctx.measureText(label).width + 2 * padding;
    // Beside its line, or on the other side of it; one that would lie over another is left out.
    const left = x + width > right ? x - width : x;
    if (left < taken) continue;
    taken = left + width;
    const height = LABEL_HEIGHT_PX * ratio;
    ctx.fillStyle = paint.surface;
    ctx.fillRect(left + ratio, bbox.top, width - 2 * ratio, height);
    ctx.fillStyle = paint.grey;
    ctx.fillText(label, left + padding, bbox.top + height / 2);
  }
  ctx.restore();
}
