import { formatDuration } from '../../lib/figures';

/** A change of a load by hand, as the report tells it. */
export interface LoadChange {
  /** In seconds since the run began. */
  readonly t_s: number;
  readonly what: 'rate' | 'pause' | 'resume';
  /** The plan's setting that was changed; null for a load that can only be paused. */
  readonly unit: string | null;
  readonly old: number | null;
  readonly new: number | null;
  readonly paused_s: number | null;
}

/** The rate of a load under way, and its changes so far. */
export interface LoadNow {
  readonly unit: string | null;
  readonly planned: number | null;
  /** The present one, or the one after the pause; null without a unit. */
  readonly rate: number | null;
  readonly factor: number;
  readonly paused: boolean;
  readonly changes: readonly LoadChange[];
}

const NUMBER = new Intl.NumberFormat('en', { maximumSignificantDigits: 6 });
const UNITS: Readonly<Record<string, string>> = {
  factor: ' × the plan',
  arrive: ' users/s',
  rate_per_conn: '/s per socket',
};

/** A rate for a person. */
export function formatLoadRate(rate: number, unit: string | null): string {
  return `${NUMBER.format(rate)}${UNITS[unit ?? ''] ?? '/s'}`;
}

/** What was changed, in a few words. */
export function describeChange(change: LoadChange): string {
  if (change.what === 'pause') return 'paused';
  if (change.what === 'resume') return `went on after ${formatDuration(change.paused_s ?? 0)}`;
  const rate = formatLoadRate(change.new ?? 0, change.unit);
  return `${(change.new ?? 0) > (change.old ?? 0) ? 'raised' : 'lowered'} to ${rate}`;
}

/** The step of the buttons, as a share of the planned rate: what one does the other undoes. */
const STEP = 0.1;

/** The factor of the plan after so many steps, down if it is negative; never 0, never up by that. */
export function stepped(factor: number, steps: number): number {
  return Math.max(Number((factor + steps * STEP).toFixed(6)), Math.min(STEP, factor));
}
