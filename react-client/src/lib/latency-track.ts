import type { TimeSeries } from './time-series';

/** An hour. */
const SECONDS_KEPT = 3_600;

/** The slowest round trip of each second in which there was one. */
export class LatencyTrack {
  /** In the order of the seconds, which is that of arrival. */
  readonly #slowestMs = new Map<number, number>();

  add(unixMs: number, durationMs: number): void {
    const second = Math.floor(unixMs / 1000);
    this.#slowestMs.set(second, Math.max(durationMs, this.#slowestMs.get(second) ?? 0));
    if (this.#slowestMs.size <= SECONDS_KEPT) return;
    const [oldest] = this.#slowestMs.keys();
    if (oldest !== undefined) this.#slowestMs.delete(oldest);
  }

  clear(): void {
    this.#slowestMs.clear();
  }

  series(): TimeSeries {
    return { times: [...this.#slowestMs.keys()], columns: [[...this.#slowestMs.values()]] };
  }
}
