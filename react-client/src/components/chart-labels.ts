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
 * Where the labels of lines at these heights go, one under the other where they would overlap.
 *
 * @param lines from the top of the chart, in any order.
 * @param height of a label, on the same scale.
 */
export function stacked(lines: readonly number[], height: number): number[] {
  const places = new Map<number, number>();
  let free = -Infinity;
  const downwards = lines.map((line, index) => ({ line, index })).sort((a, b) => a.line - b.line);
  for (const { line, index } of downwards) {
    const place = Math.max(line, free);
    places.set(index, place);
    free = place + height;
  }
  return lines.map((line, index) => places.get(index) ?? line);
}
