import { useEffect, useState } from 'react';

const TICK_MS = 200;

/** Whole seconds until a moment of the page's monotonic clock, and 0 once it has come. */
export function useSecondsUntil(momentMs: number): number {
  const [nowMs, setNowMs] = useState(() => performance.now());
  useEffect(() => {
    const timer = setInterval(() => setNowMs(performance.now()), TICK_MS);
    return () => {
      clearInterval(timer);
    };
  }, []);
  return Math.max(0, Math.ceil((momentMs - nowMs) / 1000));
}
