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
