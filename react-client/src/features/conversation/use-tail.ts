import { type RefObject, useEffect, useLayoutEffect, useRef, useState } from 'react';

/** Closer to the end than this counts as being there, so that a stray pixel does not let go. */
export const TAIL_TOLERANCE_PX = 32;

/** For so long after it grew, the list may still move by itself, as its new rows are measured. */
const SETTLING_MS = 150;

const KEYS_THAT_GO_BACK: readonly string[] = ['ArrowUp', 'PageUp', 'Home'];

interface Rows {
  readonly scrollToEnd: () => void;
  readonly cancelScroll: () => void;
}

interface Tail {
  /** The newest entry when the reader let go of the tail; `null` while following it. */
  readonly leftAtId: number | null;
  readonly follow: () => void;
}

/**
 * Keeps a list at its end until the reader goes back, and again once they return.
 *
 * Scroll events alone do not tell who scrolled: in a flood the list moves by itself in every
 * frame. So going back by wheel, finger, key or scroll bar lets go at once; any other way of
 * scrolling back (a search, the focus, a screen reader) counts while the list is settled.
 */
export function useTail(
  scroller: RefObject<HTMLElement | null>,
  newestId: number,
  rows: Rows,
): Tail {
  const [leftAtId, setLeftAtId] = useState<number | null>(null);
  // What holds from this moment on; the state above is what the next rendering will show of it.
  const isFollowing = useRef(true);
  const newest = useRef({ id: newestId, atMs: 0 });

  // On the first rendering too: a flood may be there before the list is.
  useLayoutEffect(() => {
    newest.current = { id: newestId, atMs: performance.now() };
    if (isFollowing.current) rows.scrollToEnd();
  }, [newestId, rows]);

  const follow = () => {
    isFollowing.current = true;
    setLeftAtId(null);
    rows.scrollToEnd();
  };

  useEffect(() => {
    const element = scroller.current;
    if (element === null) return;
    let lastTop = element.scrollTop;
    let lastTouchY = 0;

    const letGo = () => {
      if (!isFollowing.current) return;
      isFollowing.current = false;
      setLeftAtId(newest.current.id);
      // A way to the end that is still under way would take the reader along.
      rows.cancelScroll();
    };
    const takeUp = () => {
      isFollowing.current = true;
      setLeftAtId(null);
    };
    const goBack = () => {
      if (element.scrollTop > 0) letGo();
    };
    const listeners: {
      [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => void;
    } = {
      scroll: () => {
        const { clientHeight, scrollHeight, scrollTop } = element;
        const wentBack = scrollTop < lastTop;
        lastTop = scrollTop;
        const isAtEnd = scrollHeight - scrollTop - clientHeight <= TAIL_TOLERANCE_PX;
        const isSettled = performance.now() - newest.current.atMs > SETTLING_MS;
        if (isAtEnd && !wentBack) takeUp();
        else if (!isAtEnd && wentBack && isSettled) letGo();
      },
      wheel: ({ deltaY }) => {
        if (deltaY < 0) goBack();
      },
      keydown: ({ key }) => {
        if (KEYS_THAT_GO_BACK.includes(key)) goBack();
      },
      pointerdown: ({ offsetX, target }) => {
        const isOnScrollBar = target === element && offsetX >= element.clientWidth;
        if (isOnScrollBar) goBack();
      },
      touchstart: ({ touches }) => {
        lastTouchY = touches[0]?.clientY ?? 0;
      },
      touchmove: ({ touches }) => {
        const touchY = touches[0]?.clientY ?? 0;
        if (touchY > lastTouchY) goBack();
        lastTouchY = touchY;
      },
    };
    const listening = new AbortController();
    for (const [name, listener] of Object.entries(listeners)) {
      element.addEventListener(name, listener as EventListener, {
        passive: true,
        signal: listening.signal,
      });
    }
    return () => {
      listening.abort();
    };
  }, [scroller, rows]);

  return { leftAtId, follow };
}
