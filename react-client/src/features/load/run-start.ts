import { formatClock } from '../../lib/figures';

const DAY = new Intl.DateTimeFormat('en', { month: 'short', day: 'numeric' });
const DAY_AND_YEAR = new Intl.DateTimeFormat('en', { dateStyle: 'medium' });

/** When a run began: of today by the clock alone, and before that with its day. */
export function formatStart(startedAtMs: number, nowMs = Date.now()): string {
  if (Number.isNaN(startedAtMs)) return '–';
  const [start, now] = [new Date(startedAtMs), new Date(nowMs)];
  const clock = formatClock(startedAtMs / 1000);
  if (start.toDateString() === now.toDateString()) return clock;
  const day = start.getFullYear() === now.getFullYear() ? DAY : DAY_AND_YEAR;
  return `${day.format(start)}, ${clock.slice(0, 5)}`;
}
