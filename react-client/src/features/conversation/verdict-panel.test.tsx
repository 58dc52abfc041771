import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import type { ComponentProps } from 'react';
import { describe, expect, it, vi } from 'vitest';

import { AUTO, type Matching } from './matching';
import { VerdictPanel } from './verdict-panel';

const COUNTS = {
  sent: 1_234,
  received: 1_230,
  waiting: 1,
  echoed: 1_220,
  reordered: 2,
  duplicate: 3,
  corrupt: 6,
  unexpected: 4,
  ignored: 7,
  lost: 5,
  oneWay: 8,
};

function show(more: Partial<ComponentProps<typeof VerdictPanel>> = {}) {
  const onMatching = vi.fn<(matching: Matching) => void>();
  const props = { counts: COUNTS, roundTrips: null, matching: AUTO, form: undefined, onMatching };
  render(<VerdictPanel {...props} {...more} />);
  return onMatching;
}

function figures(): Record<string, string> {
  const names = screen.getAllByRole('term').map((term) => term.textContent);
  const values = screen.getAllByRole('definition').map((value) => value.textContent);
  return Object.fromEntries(names.map((name, index) => [name, values[index] ?? '']));
}

describe('VerdictPanel', () => {
  it('has every count in sight', () => {
    show();
    expect(figures()).toEqual({
      Sent: '1,234',
      Echoed: '1,220',
      Waiting: '1',
      'Lost on close': '5',
      Corrupt: '6',
      Unexpected: '4',
      Duplicate: '3',
      Reordered: '2',
      Ignored: '7',
      'One way': '8',
      Last: '–',
      Median: '–',
      Slowest: '–',
    });
  });

  it('shows round trips once there are any, and what they are drawn from', () => {
    const roundTrips = { sampleCount: 1_000, lastMs: 1, medianMs: 2, slowestMs: 345.6 };
    show({ roundTrips });
    expect(figures()).toMatchObject({
      Last: '1.0\u00a0ms',
      Median: '2.0\u00a0ms',
      Slowest: '346\u00a0ms',
    });
    expect(screen.getByText(/Over the last 1,000/)).toBeVisible();
  });

  it('says how replies are matched, and lets one say otherwise', async () => {
    const onMatching = show({ form: { by: 'json', path: 'params.0.id' } });
    const choice = await screen.findByRole('combobox', { name: 'Replies matched' });
    expect(choice).toHaveDisplayValue('By itself: JSON params.0.id');
    await userEvent.selectOptions(choice, 'By a JSON field');
    // The field that was seen is the one that is proposed.
    expect(onMatching).toHaveBeenLastCalledWith({ by: 'json', path: 'params.0.id' });
    await userEvent.selectOptions(choice, 'Not at all');
    expect(onMatching).toHaveBeenLastCalledWith({ by: 'off' });
  });

  it('takes a field only when it is one', async () => {
    const onMatching = show({ matching: { by: 'json', path: 'id' } });
    const field = await screen.findByRole('textbox', { name: /^Field/ });
    await userEvent.type(field, '.');
    expect(field).toBeInvalid();
    expect(onMatching).not.toHaveBeenCalled();
    await userEvent.type(field, '0');
    expect(onMatching).toHaveBeenCalledExactlyOnceWith({ by: 'json', path: 'id.0' });
  });
});
