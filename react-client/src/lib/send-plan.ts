import { fillWords } from './templates';

/** What goes over the wire. */
export type Outgoing = string | Uint8Array<ArrayBuffer>;

/** Messages to be sent by themselves, each at its time. */
export type SendPlan =
  /** The same message every so often; of the words of its text, `{seq}` is its number, from 1. */
  | {
      readonly kind: 'repeat';
      readonly data: Outgoing;
      readonly intervalMs: number;
      /** `null`: until stopped. */
      readonly count: number | null;
    }
  /** Messages said before, each so long after the start. */
  | { readonly kind: 'replay'; readonly messages: readonly TimedMessage[] };

export interface TimedMessage {
  readonly afterMs: number;
  readonly data: Outgoing;
}

/** How many there will be; `null`: as many as there is time for. */
export function plannedCount(plan: SendPlan): number | null {
  return plan.kind === 'repeat' ? plan.count : plan.messages.length;
}

/** When the message of this index (from 0) is due, after the start; `null` when there is none. */
export function dueMs(plan: SendPlan, index: number): number | null {
  if (plan.kind === 'replay') return plan.messages[index]?.afterMs ?? null;
  return plan.count !== null && index >= plan.count ? null : index * plan.intervalMs;
}

export function dataOf(plan: SendPlan, index: number): Outgoing {
  if (plan.kind === 'replay') return plan.messages[index]?.data ?? '';
  if (typeof plan.data !== 'string') return plan.data;
  return fillWords(plan.data, index + 1);
}

/** So many at most without a pause, so that what comes in is heard while much is sent. */
const SENT_AT_ONCE = 250;

/**
 * What to do now: how many to send, and how long to wait then (`null`: all is done).
 *
 * An open loop: the schedule does not wait for replies, and what became due while the thread was
 * held up is sent late, never skipped.
 */
export function paceAt(
  plan: SendPlan,
  sent: number,
  elapsedMs: number,
): { readonly send: number; readonly waitMs: number | null } {
  let send = 0;
  for (;;) {
    const due = dueMs(plan, sent + send);
    if (due === null) return { send, waitMs: null };
    if (due > elapsedMs) return { send, waitMs: due - elapsedMs };
    if (send === SENT_AT_ONCE) return { send, waitMs: 0 };
    send += 1;
  }
}
