import { type Automation, compilePattern, type ReplyRule, type SentBy } from '../../lib/automation';
import type { Outgoing } from '../../lib/send-plan';
import { fillWords } from '../../lib/templates';

interface AutomatonEvents {
  readonly now: () => number;
  /** Sends one; `false` when the socket takes no more. */
  readonly send: (data: Outgoing, by: SentBy) => boolean;
  /** The rule, counted from 1, sends nothing any more: so many replies look like a loop. */
  readonly onRuleStopped: (rule: number, replies: number) => void;
}

/**
 * When a rule is taken for one end of a loop: a hundred replies in a second, as on loopback, or ten
 * a second for a minute, as over a slow network.
 */
export const LOOP_GUARDS = [
  { replies: 100, withinMs: 1_000 },
  { replies: 600, withinMs: 60_000 },
] as const;
const MOST_REMEMBERED = Math.max(...LOOP_GUARDS.map(({ replies }) => replies));

/** Of what rules have sent, so many texts are known again when they are echoed. */
const OWN_TEXTS = 200;

interface RunningRule {
  readonly number: number;
  readonly fits: (text: string) => boolean;
  readonly send: Outgoing;
  /** When it has replied, the latest last. */
  readonly repliedAtMs: number[];
  isStopped: boolean;
}

/** Send what a connection sends by itself, on the thread of its socket. */
export class Automaton {
  readonly #automation: Automation;
  readonly #events: AutomatonEvents;
  readonly #rules: readonly RunningRule[];
  /** Sent by rules, the latest last. */
  readonly #ownTexts: string[] = [];
  #sent = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(automation: Automation, events: AutomatonEvents) {
    this.#automation = automation;
    this.#events = events;
    this.#rules = automation.rules.flatMap(asRunning);
  }

  opened(): void {
    for (const data of this.#automation.onOpen) this.#send(data, { kind: 'open' });
    if (this.#automation.heartbeat !== null) this.#beat(this.#events.now());
  }

  received(data: string | ArrayBuffer): void {
    if (typeof data !== 'string') return;
    for (const rule of this.#rules) {
      if (rule.isStopped || !rule.fits(data) || this.#isOwn(data)) continue;
      const text = this.#send(rule.send, { kind: 'rule', rule: rule.number });
      if (typeof text === 'string' && text !== '') this.#ownTexts.push(text);
      if (this.#ownTexts.length > OWN_TEXTS) this.#ownTexts.shift();
      this.#guard(rule);
    }
  }

  closed(): void {
    clearTimeout(this.#timer);
  }

  /** Beats are due so long apart from the opening on; those missed in a sleep are not made up. */
  #beat(dueMs: number): void {
    const { heartbeat } = this.#automation;
    if (heartbeat === null) return;
    const { data, intervalMs } = heartbeat;
    const nowMs = this.#events.now();
    const missed = Math.floor(Math.max(0, nowMs - dueMs) / intervalMs);
    const nextMs = dueMs + (missed + 1) * intervalMs;
    this.#timer = setTimeout(() => {
      this.#send(data, { kind: 'heartbeat' });
      this.#beat(nextMs);
    }, nextMs - nowMs);
  }

  /** Returns what was sent. */
  #send(data: Outgoing, by: SentBy): Outgoing | null {
    const filled = typeof data === 'string' ? fillWords(data, this.#sent).toWellFormed() : data;
    if (!this.#events.send(filled, by)) return null;
    this.#sent += 1;
    return filled;
  }

  /** An echo, with or without a suffix, of what a rule sent is answered by none. */
  #isOwn(text: string): boolean {
    return this.#ownTexts.some((own) => text.startsWith(own));
  }

  #guard(rule: RunningRule): void {
    const times = rule.repliedAtMs;
    times.push(this.#events.now());
    if (times.length > MOST_REMEMBERED) times.shift();
    const last = times.at(-1) ?? 0;
    for (const { replies, withinMs } of LOOP_GUARDS) {
      const first = times.at(-replies);
      if (first === undefined || last - first > withinMs) continue;
      rule.isStopped = true;
      this.#events.onRuleStopped(rule.number, replies);
      return;
    }
  }
}

function asRunning({ when, send }: ReplyRule, index: number): RunningRule[] {
  const compiled = compilePattern(when);
  if (!compiled.ok) return [];
  const { fits } = compiled;
  return [{ number: index + 1, fits, send, repliedAtMs: [], isStopped: false }];
}
