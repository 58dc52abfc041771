/** What a drag across a plot leads to; places in CSS pixels from its left edge, ascending. */
interface DragListener {
  readonly onDrag: (fromPx: number, toPx: number) => void;
  readonly onCancel: () => void;
  readonly onEnd: (fromPx: number, toPx: number) => void;
  readonly onDoubleClick: () => void;
}

/** A press that moves less than this is no drag. */
const LEAST_PX = 6;

/**
 * Tell of drags across a plot by mouse, pen or finger; Escape, or a second finger, ends one without
 * effect. That a finger may scroll the page up and down is the style sheet's (`touch-action`).
 *
 * @returns what stops it.
 */
export function listenForDrag(plot: HTMLElement, listener: DragListener): () => void {
  let press: { readonly id: number; readonly fromPx: number; isDrag: boolean } | null = null;
  const listening = new AbortController();
  const { signal } = listening;
  const placeOf = (event: PointerEvent) => {
    const { left, width } = plot.getBoundingClientRect();
    return Math.min(Math.max(event.clientX - left, 0), width);
  };
  const rangeTo = (toPx: number, fromPx: number) =>
    [Math.min(fromPx, toPx), Math.max(fromPx, toPx)] as const;
  const cancel = () => {
    if (press?.isDrag === true) listener.onCancel();
    press = null;
  };

  plot.addEventListener(
    'pointerdown',
    (event) => {
      if (press !== null) cancel();
      else if (event.button === 0 && event.isPrimary) {
        press = { id: event.pointerId, fromPx: placeOf(event), isDrag: false };
      }
    },
    { signal },
  );
  plot.addEventListener(
    'pointermove',
    (event) => {
      if (press?.id !== event.pointerId) return;
      const toPx = placeOf(event);
      if (!press.isDrag && Math.abs(toPx - press.fromPx) >= LEAST_PX) {
        press.isDrag = true;
        // From here on moves beyond the plot belong to it, too.
        plot.setPointerCapture(press.id);
      }
      if (press.isDrag) listener.onDrag(...rangeTo(toPx, press.fromPx));
    },
    { signal },
  );
  plot.addEventListener(
    'pointerup',
    (event) => {
      if (press?.id !== event.pointerId) return;
      const { isDrag, fromPx } = press;
      press = null;
      if (isDrag) listener.onEnd(...rangeTo(placeOf(event), fromPx));
    },
    { signal },
  );
  plot.addEventListener('pointercancel', cancel, { signal });
  plot.addEventListener('dblclick', listener.onDoubleClick, { signal });
  document.addEventListener(
    'keydown',
    (event) => {
      if (event.key !== 'Escape' || press?.isDrag !== true) return;
      cancel();
      event.stopPropagation();
    },
    // Before anybody else takes it for its own.
    { capture: true, signal },
  );
  return () => {
    cancel();
    listening.abort();
  };
}
