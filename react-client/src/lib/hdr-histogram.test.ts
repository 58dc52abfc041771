import { describe, expect, it } from 'vitest';

import { decodeHdrHistogram, valueAtPercentile } from './hdr-histogram';

// Made by the `hdrhistogram` package for Python, through `loadgen.results.latency`.
const OF_EIGHT = 'HISTFAAAACx4nJNpmSzMwMDAywABzFCaEURcm7yEwf4DVICF6bs8E8tffqb9dUwAosMIBA==';
const EMPTY = 'HISTFAAAABx4nJNpmSzMgADMUJoRRFybvITB/gNEAABQ2gSH';
const OF_MANY = [
  'HISTFAAAAQZ4nDVQsUoDURC8uYeREFRCEAkagkUQsUghFmIRxFLEDxALK78gELCwSbhKUIKlBlELK2uxkhTOFwgpU6',
  'ZLY+/cvPN4+3Z2dnbfcBv9YS1J0EviF4qM/PoZviSdeSTaxPVt2CNqxLYPEYg1IoIqUSdWcvrUnDrNvIIbUrR8l4ld',
  'k5tEhTgwFrngicr//mKScdpsKJ5csuyIOCEyuKh6eJ9oEDsuR2qcWbvqRc+pa2LLomCrAuvEJLU3+Tm29Jy4j69fEA',
  'PYzsROLomP1DPfSotecEjop9yo+xa95FAGBnHrWOldzFTxIHxFdO0kU/GkeC0RX8pj5U+J7hQz2cuWid9HpH+w2IAK',
].join('');

describe('decodeHdrHistogram', () => {
  it('has the values and counts that Python recorded', async () => {
    // 1, 1, 2, 2047, 2048, 2049, 4096, 1000000
    expect(await decodeHdrHistogram(OF_EIGHT)).toEqual({
      values: [1, 2, 2047, 2049, 4099, 1_000_447],
      counts: [2, 1, 1, 2, 1, 1],
      total: 8,
    });
  });

  it('finds the percentiles that Python finds', async () => {
    const histogram = await decodeHdrHistogram(OF_MANY);
    expect(histogram.total).toBe(12001);
    for (const [percent, value] of [
      [0, 24],
      [50, 797],
      [90, 5043],
      [99, 16183],
      [99.9, 30399],
      [99.99, 30399],
      [100, 30015487],
    ] as [number, number][]) {
      expect(valueAtPercentile(histogram, percent)).toBe(value);
    }
  });

  it('takes an empty one', async () => {
    const histogram = await decodeHdrHistogram(EMPTY);
    expect(histogram.total).toBe(0);
    expect(valueAtPercentile(histogram, 99)).toBeNull();
  });

  it.each(['', 'AAAA', btoa('x'.repeat(80)), OF_EIGHT.slice(0, 40)])('refuses %j', async (text) => {
    await expect(decodeHdrHistogram(text)).rejects.toThrow();
  });
});
