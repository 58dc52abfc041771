import type UPlot from 'uplot';

import type { ChartLimit } from './chart-kinds';
import { besideLines } from './chart-labels';
import type { Paints } from './plot-paints';

const LABEL_HEIGHT_PX = 15;
const GAP_PX = 2;
const PADDING_PX = 3;

/** Draw the limits straight across the plot, each with its label beside it. */
export function drawLimits(plot: UPlot, all: readonly ChartLimit[], paint: Paints): void {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio;
  const top = plot.scales.y?.max ?? 0;
  const limits = all.filter(({ value }) => value <= top);
  ctx.save();
  ctx.lineWidth = ratio;
  ctx.setLineDash([5 * ratio, 4 * ratio]);
  ctx.font = `500 ${String(11 * ratio)}px ${paint.face}`;
  ctx.textAlign = 'right';
  ctx.textBaseline = 'middle';
  const padding = PADDING_PX * ratio;
  const drawn = limits.map(({ label, value, colour = 'bad' }) => {
    const text = fitted(ctx, label, bbox.width - 2 * padding);
    const y = Math.round(plot.valToPos(value, 'y', true)) + ratio / 2;
    return { text, colour, y, width: ctx.measureText(text).width + 2 * padding };
  });
  // Up to the canvas' top: above the highest line there is the padding of the plot.
  const room = { left: bbox.left, right: bbox.left + bbox.width, top: 0 };
  const places = besideLines(
    drawn,
    { ...room, bottom: bbox.top + bbox.height },
    LABEL_HEIGHT_PX * ratio,
    GAP_PX * ratio,
  );
  // All lines before all labels.
  for (const { y, colour } of drawn) {
    ctx.strokeStyle = paint[colour];
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
  }
  for (const [index, { text, colour }] of drawn.entries()) {
    const place = places[index];
    if (place == null) continue;
    // On a patch of the ground: the figures' lines do not go through its letters.
    ctx.fillStyle = paint.surface;
    ctx.fillRect(place.left, place.top, place.right - place.left, place.bottom - place.top);
    ctx.fillStyle = paint[colour];
    ctx.fillText(text, place.right - padding, (place.top + place.bottom) / 2);
  }
  ctx.restore();
}

/** As much of a label as there is room for. */
function fitted(ctx: CanvasRenderingContext2D, label: string, width: number): string {
  if (ctx.measureText(label).width <= width) return label;
  let end = label.length;
  while (end > 0 && ctx.measureText(`${label.slice(0, end)}…`).width > width) end -= 1;
  return `${label.slice(0, end)}…`;
}
