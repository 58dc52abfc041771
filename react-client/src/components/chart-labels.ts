/** Between two labels, so that they are read as two. */
const GAP_PX = 6;

/**
 * Leave out labels of an axis that would run into one further on: at the end are the rarest.
 *
 * @param centres where each stands, ascending.
 * @param widthOf how wide a label is, on the same scale.
 */
export function withoutCollisions(
  labels: readonly string[],
  centres: readonly number[],
  widthOf: (label: string) => number,
): string[] {
  let free = Infinity;
  return labels
    .map((label, index) => ({ label, centre: centres[index] ?? 0, width: widthOf(label) }))
    .reverse()
    .map(({ label, centre, width }) => {
      if (label === '' || centre + width / 2 > free) return '';
      free = centre - width / 2 - GAP_PX;
      return label;
    })
    .reverse();
}

/**
 * Leave out labels of an axis that its edges would cut.
 *
 * @param centres where each stands, on the scale of `edges`.
 */
export function insideOf(
  edges: { readonly from: number; readonly to: number },
  labels: readonly string[],
  centres: readonly number[],
  widthOf: (label: string) => number,
): string[] {
  return labels.map((label, index) => {
    const [centre, half] = [centres[index] ?? 0, widthOf(label) / 2];
    return centre - half < edges.from || centre + half > edges.to ? '' : label;
  });
}

/** A line straight across a chart, and how wide the label is that belongs to it. */
export interface LabelledLine {
  /** From the top of the drawing. */
  readonly y: number;
  readonly width: number;
}

export interface Box {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/**
 * Find a place for each line's label: above its line, else below it, at the right edge or beside
 * the labels that are there. No label leaves the plot or covers another; none is crossed by a line
 * as long as there is another place. A label for which there is no room has none: `null`.
 *
 * @param height of a label; `gap` is left between it and its line. All on one scale.
 */
export function besideLines(
  lines: readonly LabelledLine[],
  plot: Box,
  height: number,
  gap: number,
): (Box | null)[] {
  const places = new Map<number, Box>();
  const downwards = lines.map((line, index) => ({ ...line, index })).sort((a, b) => a.y - b.y);
  for (const { y, width, index } of downwards) {
    const taken = [...places.values()];
    const rights = [plot.right, ...taken.map(({ left }) => left - 2 * gap)].sort((a, b) => b - a);
    const candidates = rights
      .flatMap((right) => [y - gap - height, y + gap].map((top) => ({ right, top })))
      .map(({ right, top }) => ({ left: right - width, right, top, bottom: top + height }))
      .filter((box) => isInside(box, plot) && !taken.some((other) => overlap(box, other)));
    const free = candidates.find(
      (box) => !lines.some((line) => line.y > box.top && line.y < box.bottom),
    );
    const place = free ?? candidates[0];
    if (place !== undefined) places.set(index, place);
  }
  return lines.map((_, index) => places.get(index) ?? null);
}

function isInside(box: Box, { left, right, top, bottom }: Box): boolean {
  return box.left >= left && box.right <= right && box.top >= top && box.bottom <= bottom;
}

function overlap(one: Box, other: Box): boolean {
  return (
    one.left < other.right &&
    other.left < one.right &&
    one.top < other.bottom &&
    other.top < one.bottom
  );
}

/**
 * Place labels beside their marks, in the first row where each has room: to the right of its mark,
 * or to the left of one near the end. One that would lie over another in every row has no place:
 * `null`.
 *
 * @param marks ascending by their place `x`.
 */
export function inRows(
  marks: readonly { readonly x: number; readonly width: number }[],
  room: { readonly from: number; readonly to: number },
  mostRows: number,
): ({ readonly left: number; readonly row: number } | null)[] {
  const taken = Array.from({ length: mostRows }, () => room.from);
  return marks.map(({ x, width }) => {
    const left = x + width > room.to ? x - width : x;
    const row = taken.findIndex((end) => left >= end);
    if (row === -1) return null;
    taken[row] = left + width;
    return { left, row };
  });
}
