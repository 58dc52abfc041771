/**
 * Whether a mouse button or a finger is down. What a field shows once it is left would move what is
 * below it from under the pointer, and the click that is on its way would hit nothing.
 */
let isDown = false;

addEventListener('pointerdown', () => (isDown = true), { capture: true });
for (const end of ['pointerup', 'pointercancel']) {
  addEventListener(end, () => (isDown = false), { capture: true });
}

/** Runs at once, or, while something is pressed, when that is over and its click is told. */
export function afterPress(run: () => void): void {
  if (!isDown) {
    run();
    return;
  }
  const over = new AbortController();
  const end = () => {
    over.abort();
    setTimeout(run);
  };
  addEventListener('pointerup', end, { signal: over.signal });
  addEventListener('pointercancel', end, { signal: over.signal });
}
