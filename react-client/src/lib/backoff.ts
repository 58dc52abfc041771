const FIRST_DELAY_MS = 1_000;
const LONGEST_DELAY_MS = 15_000;
const GROWTH = 1.7;

/**
 * How long to wait before the attempt that follows so many failures: longer each time, up to a
 * bound, and spread out, so that a thousand pages do not all come back in the same instant.
 *
 * @param random from 0 up to 1.
 */
export function backoffMs(failures: number, random: number): number {
  const wholeMs = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * GROWTH ** Math.max(0, failures - 1));
  return Math.round(wholeMs * (0.75 + random / 2));
}
