import { dataOf, dueMs, type Outgoing, paceAt, type SendPlan } from '../../lib/send-plan';

interface RunnerEvents {
  readonly now: () => number;
  /** Sends one; `false` when the socket takes no more. `lateMs`: after it was due. */
  readonly send: (data: Outgoing, lateMs: number) => boolean;
  readonly onEnd: (why: 'done' | 'stopped') => void;
}

/** A timer for longer than 31 bits of milliseconds fires at once: wait in several. */
const LONGEST_TIMER_MS = 3_600_000;

/** Carries out a plan on timers of the thread it runs in. */
export class PlanRunner {
  readonly #plan: SendPlan;
  readonly #events: RunnerEvents;
  readonly #startedAtMs: number;
  #sent = 0;
  #isOver = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(plan: SendPlan, events: RunnerEvents) {
    this.#plan = plan;
    this.#events = events;
    this.#startedAtMs = events.now();
    this.#run();
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  stop(): void {
    this.#end('stopped');
  }

  #end(why: 'done' | 'stopped'): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#events.onEnd(why);
  }

  #run(): void {
    const { send, waitMs } = paceAt(this.#plan, this.#sent, this.#elapsedMs());
    for (let more = send; more > 0; more--) {
      const lateMs = this.#elapsedMs() - (dueMs(this.#plan, this.#sent) ?? 0);
      if (!this.#events.send(dataOf(this.#plan, this.#sent), lateMs)) {
        this.stop();
        return;
      }
      this.#sent += 1;
    }
    if (waitMs === null) this.#end('done');
    else this.#timer = setTimeout(() => this.#run(), Math.min(waitMs, LONGEST_TIMER_MS));
  }

  #elapsedMs(): number {
    return this.#events.now() - this.#startedAtMs;
  }
}
