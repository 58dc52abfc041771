/** Long enough that a visible tab always gets its animation frame first. */
export const HIDDEN_TAB_DELAY_MS = 200;

/**
 * Runs `run` once: at the next animation frame, or, in a hidden tab, where browsers give no
 * frames, after `HIDDEN_TAB_DELAY_MS` (which a browser may stretch to a second).
 */
export function onNextFrame(run: () => void): void {
  const runOnce = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    run();
  };
  const frame = requestAnimationFrame(runOnce);
  const timer = setTimeout(runOnce, HIDDEN_TAB_DELAY_MS);
}

/** So many times as long as drawing took, the page is left to everything else. */
const REST = 3;
const LONGEST_REST_MS = 500;

/**
 * Frames that make room: where drawing takes long – a flood on a slow machine –, there are fewer of
 * them, so that the page still answers to its reader.
 */
export function roomyFrames(): (run: () => void) => void {
  let endedAtMs = -Infinity;
  let tookMs = 0;
  const draw = (run: () => void) => {
    const startedAtMs = performance.now();
    run();
    // React draws once this task is over.
    setTimeout(() => {
      endedAtMs = performance.now();
      tookMs = endedAtMs - startedAtMs;
    });
  };
  return (run) => {
    const restMs = Math.min(LONGEST_REST_MS, REST * tookMs);
    const waitMs = endedAtMs + restMs - performance.now();
    const drawNext = () => {
      onNextFrame(() => {
        draw(run);
      });
    };
    if (waitMs > 0) setTimeout(drawNext, waitMs);
    else drawNext();
  };
}
