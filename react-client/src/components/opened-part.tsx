import { type ReactNode, Suspense, useEffectEvent, useLayoutEffect } from 'react';

import { ErrorBoundary } from './error-boundary';

interface OpenedPartProps {
  /** What it is, such as “The list of shortcuts”: said when it fails. */
  name: string;
  onClose: () => void;
  children: ReactNode;
}

/** What is open over the page, the latest last: Escape closes that one alone. */
const opened: (() => void)[] = [];

/**
 * Show what one has opened over the page. Escape closes it from the moment it was asked for: while
 * it is being fetched, and while what it is made of does not listen yet, which it does only after
 * it was painted and has the focus.
 */
export function OpenedPart({ name, onClose, children }: OpenedPartProps) {
  const close = useEffectEvent(onClose);
  // Not after the paint: what is seen to be open can be closed.
  useLayoutEffect(() => {
    const own = () => {
      close();
    };
    const press = (event: KeyboardEvent) => {
      if (event.key !== 'Escape' || event.isComposing || opened.at(-1) !== own) return;
      event.preventDefault();
      event.stopPropagation();
      own();
    };
    opened.push(own);
    document.addEventListener('keydown', press, { capture: true });
    return () => {
      opened.splice(opened.indexOf(own), 1);
      document.removeEventListener('keydown', press, { capture: true });
    };
  }, []);
  return (
    <ErrorBoundary part={name}>
      <Suspense>{children}</Suspense>
    </ErrorBoundary>
  );
}
