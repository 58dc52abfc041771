import { useEffect, useRef, useState } from 'react';

/** More entries within `SPAN_MS` than this are more than a screen reader reads out before the next. */
const MOST_READ = 10;
const SPAN_MS = 1_000;
/** For so long nothing of the kind: then it is over. */
const CALM_MS = 2_000;

/**
 * Whether entries come faster than anyone could have them read out.
 *
 * @param newestId rises by one with each entry.
 */
export function useFlood(newestId: number): boolean {
  const [isFlood, setIsFlood] = useState(false);
  const span = useRef({ fromMs: -Infinity, fromId: newestId, latestId: newestId });
  const calm = useRef<ReturnType<typeof setTimeout>>(undefined);

  useEffect(() => {
    const { fromMs, latestId } = span.current;
    if (newestId === latestId) return;
    const nowMs = performance.now();
    if (nowMs - fromMs > SPAN_MS) span.current = { fromMs: nowMs, fromId: latestId, latestId };
    span.current.latestId = newestId;
    if (newestId - span.current.fromId <= MOST_READ) return;
    setIsFlood(true);
    clearTimeout(calm.current);
    calm.current = setTimeout(() => setIsFlood(false), CALM_MS);
  }, [newestId]);

  useEffect(
    () => () => {
      clearTimeout(calm.current);
    },
    [],
  );
  return isFlood;
}
