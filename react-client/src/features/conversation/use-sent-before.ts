import { type KeyboardEvent, useRef } from 'react';

import type { Draft } from './composer-draft';
import { sentBefore } from './kept-drafts';

/** Up and down go through the messages sent before, as in a shell. */
export function useSentBefore(draft: Draft, show: (draft: Draft) => void) {
  /** What was being written when one went back, and how far back one is. */
  const place = useRef<{ readonly begun: Draft; readonly index: number } | null>(null);

  const go = (steps: number): boolean => {
    const all = sentBefore.all();
    const { begun, index } = place.current ?? { begun: draft, index: -1 };
    const next = index + steps;
    if (next >= all.length || next < -1) return false;
    place.current = next === -1 ? null : { begun, index: next };
    show(next === -1 ? begun : (all[next] ?? begun));
    return true;
  };

  return {
    leave: () => {
      place.current = null;
    },
    press: (event: KeyboardEvent<HTMLTextAreaElement>) => {
      if (event.shiftKey || event.altKey || event.ctrlKey || event.metaKey) return;
      const { value, selectionStart, selectionEnd } = event.currentTarget;
      // Within a text of several lines, the keys move the caret.
      const isOnFirstLine = !value.slice(0, selectionStart).includes('\n');
      const isOnLastLine = !value.slice(selectionEnd).includes('\n');
      const isBack = event.key === 'ArrowUp' && isOnFirstLine;
      const isForth = event.key === 'ArrowDown' && isOnLastLine && place.current !== null;
      if ((isBack && go(1)) || (isForth && go(-1))) event.preventDefault();
    },
  };
}
