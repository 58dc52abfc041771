/** From and to, in the values of an axis. */
export type AxisRange = readonly [number, number];

/** Closer than this, in seconds, there is nothing to see: a run is booked by the second. */
const CLOSEST_S = 2;
/** From this share of the whole on, a range is all of it: what is missing is rounding. */
const ALL = 0.999;

/**
 * Keep a range inside the whole, and no narrower than there is something to see.
 *
 * @returns `null` where that is all of it.
 */
export function withinWhole(range: AxisRange, whole: AxisRange): AxisRange | null {
  const length = Math.max(CLOSEST_S, range[1] - range[0]);
  if (length >= ALL * (whole[1] - whole[0])) return null;
  const from = Math.min(Math.max(range[0], whole[0]), whole[1] - length);
  return [from, from + length];
}

/**
 * Show `factor` times as much around a place: below 1 zooms in, above 1 out.
 *
 * @param at the place that stays where it is; by default the middle.
 */
export function scaled(
  range: AxisRange,
  whole: AxisRange,
  factor: number,
  at = (range[0] + range[1]) / 2,
): AxisRange | null {
  const length = Math.max(CLOSEST_S, (range[1] - range[0]) * factor);
  const share = (at - range[0]) / (range[1] - range[0]);
  const from = at - share * length;
  return withinWhole([from, from + length], whole);
}

/** Move a range by a share of its length: below 0 to what was before, above 0 to what came after. */
export function moved(range: AxisRange, whole: AxisRange, share: number): AxisRange | null {
  const length = range[1] - range[0];
  // Not from infinity to infinity, which has no length.
  const from = Math.min(Math.max(range[0] + length * share, whole[0]), whole[1] - length);
  return withinWhole([from, from + length], whole);
}
