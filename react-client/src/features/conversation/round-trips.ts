export interface RoundTripSummary {
  /** How many of the latest round trips the figures are drawn from. */
  readonly sampleCount: number;
  readonly lastMs: number;
  readonly medianMs: number;
  readonly slowestMs: number;
}

export const ROUND_TRIPS_KEPT = 1_000;

/** Round-trip times of the latest answered messages. */
export class RoundTrips {
  readonly #latestMs: number[] = [];

  add(durationMs: number): void {
    this.#latestMs.push(durationMs);
    if (this.#latestMs.length > ROUND_TRIPS_KEPT) this.#latestMs.shift();
  }

  /** `null` before the first round trip: there is no figure to show, not a zero. */
  summary(): RoundTripSummary | null {
    const lastMs = this.#latestMs.at(-1);
    if (lastMs === undefined) return null;
    const sorted = this.#latestMs.toSorted((a, b) => a - b);
    return {
      sampleCount: sorted.length,
      lastMs,
      medianMs: medianOfSorted(sorted),
      slowestMs: sorted.at(-1) ?? lastMs,
    };
  }
}

function medianOfSorted(sorted: readonly number[]): number {
  const upper = sorted[Math.floor(sorted.length / 2)] ?? NaN;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? NaN;
  return (lower + upper) / 2;
}
