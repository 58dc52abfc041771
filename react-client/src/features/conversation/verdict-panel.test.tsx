import { render, screen } from '@testing-library/react';
import { describe, expect, it } from 'vitest';

import { VerdictPanel } from './verdict-panel';

const COUNTS = {
  sent: 1_234,
  received: 1_230,
  waiting: 1,
  echoed: 1_220,
  reordered: 2,
  duplicate: 3,
  unexpected: 4,
  lost: 5,
};

function figures(): Record<string, string> {
  const names = screen.getAllByRole('term').map((term) => term.textContent);
  const values = screen.getAllByRole('definition').map((value) => value.textContent);
  return Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']));
}

describe('VerdictPanel', () => {
  it('has every count in sight', () => {
    render(<VerdictPanel counts={COUNTS} roundTrips={null} />);
    expect(figures()).toEqual({
      Sent: '1,234',
      Echoed: '1,220',
      Waiting: '1',
      'Lost on close': '5',
      Unexpected: '4',
      Duplicate: '3',
      Reordered: '2',
      Last: '–',
      Median: '–',
      Slowest: '–',
    });
  });

  it('shows round trips once there are any, and what they are drawn from', () => {
    const roundTrips = { sampleCount: 1_000, lastMs: 1, medianMs: 2, slowestMs: 345.6 };
    render(<VerdictPanel counts={COUNTS} roundTrips={roundTrips} />);
    expect(figures()).toMatchObject({
      Last: '1.0\u00a0ms',
      Median: '2.0\u00a0ms',
      Slowest: '346\u00a0ms',
    });
    expect(screen.getByText(/Over the last 1,000/)).toBeVisible();
  });
});
