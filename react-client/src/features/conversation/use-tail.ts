import { type RefObject, useEffect, useLayoutEffect, useRef, useState } from 'react';

/** Closer to the end than this counts as being there, so that a stray pixel does not let go. */
const TAIL_TOLERANCE_PX = 32;

/**
 * For so many frames after it was drawn, the list may still move by itself, as its new rows are
 * measured. In frames, which stand still with a page that is held up: what the list has done by
 * itself is told before the next frame, however late that comes.
 */
const SETTLING_FRAMES = 4;

const KEYS_THAT_GO_BACK: readonly string[] = ['ArrowUp', 'PageUp', 'Home'];

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
 *
 * @param returns rises when the list is to be at its end again, whoever went back.
 */
export function useTail(
  scroller: RefObject<HTMLElement | null>,
  newestId: number,
  returns = 0,
): Tail {
  const [leftAtId, setLeftAtId] = useState<number | null>(null);
  const [returned, setReturned] = useState(returns);
  if (returned !== returns) {
    setReturned(returns);
    setLeftAtId(null);
  }
  // What holds from this moment on; the state above is what the next rendering will show of it.
  const isFollowing = useRef(true);
  const newest = useRef(newestId);
  const [settling] = useState(() => new Settling());

  useLayoutEffect(() => {
    newest.current = newestId;
  }, [newestId]);

  useLayoutEffect(() => {
    isFollowing.current = true;
    goToEnd(scroller.current);
  }, [scroller, returns]);

  // After every rendering: a flood may be there before the list is, rows turn out to be of another
  // height than was thought, and the virtualizer corrects its place by a rendering of its own.
  useLayoutEffect(() => {
    settling.begin();
    if (isFollowing.current) goToEnd(scroller.current);
  });

  useEffect(() => {
    const element = scroller.current;
    if (element === null) return;

    const stopListening = onReaderScroll(element, {
      isFollowing: () => isFollowing.current,
      isSettled: () => settling.isOver,
      letGo: () => {
        isFollowing.current = false;
        setLeftAtId(newest.current);
      },
      takeUp: () => {
        isFollowing.current = true;
        setLeftAtId(null);
      },
    });
    // A growing draft or a phone's keyboard takes room from the end, where the newest is.
    // With another width all rows are measured anew, and the list moves by itself again.
    const observer = new ResizeObserver(() => {
      settling.begin();
      if (isFollowing.current) goToEnd(element);
    });
    observer.observe(element);
    if (element.firstElementChild !== null) observer.observe(element.firstElementChild);
    return () => {
      stopListening();
      observer.disconnect();
      settling.stop();
    };
  }, [scroller, settling]);

  return {
    leftAtId,
    follow: () => {
      isFollowing.current = true;
      setLeftAtId(null);
      goToEnd(scroller.current);
    },
  };
}

/** Counts frames from the last time that something was drawn. */
class Settling {
  #framesLeft = 0;
  #frame = 0;

  get isOver(): boolean {
    return this.#framesLeft === 0;
  }

  begin(): void {
    const isCounting = this.#framesLeft > 0;
    this.#framesLeft = SETTLING_FRAMES;
    if (!isCounting) this.#next();
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
    this.#framesLeft = 0;
  }

  #next(): void {
    this.#frame = requestAnimationFrame(() => {
      this.#framesLeft -= 1;
      if (this.#framesLeft > 0) this.#next();
    });
  }
}

function goToEnd(element: HTMLElement | null): void {
  if (element !== null) element.scrollTop = element.scrollHeight;
}

interface TailControl {
  readonly isFollowing: () => boolean;
  readonly isSettled: () => boolean;
  readonly letGo: () => void;
  readonly takeUp: () => void;
}

/** Lets go and takes up as the reader scrolls; returns how to stop. */
function onReaderScroll(element: HTMLElement, tail: TailControl): () => void {
  let lastTop = element.scrollTop;
  let lastTouchY = 0;
  // The first pixels of going back are still near the end, and must not count as a return.
  let hasBeenAway = false;

  const goBack = () => {
    // One turn of the wheel may have come to the beginning before it is told here.
    const isAllInSight = element.scrollTop === 0 && element.scrollHeight <= element.clientHeight;
    if (isAllInSight || !tail.isFollowing()) return;
    hasBeenAway = false;
    tail.letGo();
  };

  const listeners: {
    [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => void;
  } = {
    scroll: () => {
      const { clientHeight, scrollHeight, scrollTop } = element;
      const isAtEnd = scrollHeight - scrollTop - clientHeight <= TAIL_TOLERANCE_PX;
      const wentBack = scrollTop < lastTop;
      lastTop = scrollTop;
      if (tail.isFollowing()) {
        if (isAtEnd) return;
        if (wentBack && tail.isSettled()) goBack();
        else goToEnd(element);
      } else if (isAtEnd && hasBeenAway) {
        tail.takeUp();
      }
      hasBeenAway ||= !isAtEnd;
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
      // Before the virtualizer hears of it and renders, which would go to the end again.
      capture: true,
      signal: listening.signal,
    });
  }
  return () => {
    listening.abort();
  };
}
