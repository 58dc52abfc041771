import { render, screen } from '@testing-library/react';
import { userEvent } from '@testing-library/user-event';
import { expect, it, vi } from 'vitest';

import { TrendChart } from './trend-chart';

const RUNS = Array.from({ length: 12 }, (_, at) => ({
  id: at + 4,
  started_at: `2027-01-${String(at + 1).padStart(2, '0')}T02:00:00+00:00`,
  verdict: 'valid',
  interrupted: false,
  opened: 1,
  breached: false,
  counted: at !== 5,
}));

it('shows each run that counts as a link, and says since which one a figure has changed', async () => {
  const show = vi.fn();
  const trend = {
    name: 'latency p99',
    unit: 'ms',
    values: RUNS.map(({ counted }, at) => (counted ? (at < 6 ? 10 : 20) : null)),
    changes: [
      {
        run: 10,
        started_at: RUNS[6]?.started_at ?? '',
        before: 10,
        after: 20,
        change: 1,
        noise: 0.01,
        p: 0.002,
        call: 'worse' as const,
      },
    ],
    noise: 0.02,
  };
  const { container } = render(
    <TrendChart
      trend={trend}
      runs={RUNS}
      shown={15}
      linkTo={(run) => `#/load?run=${String(run)}`}
      onShow={show}
    />,
  );
  const links = [...container.querySelectorAll('a')];
  expect(links.map((link) => link.getAttribute('href'))).toEqual(
    RUNS.filter(({ counted }) => counted).map(({ id }) => `#/load?run=${String(id)}`),
  );
  expect(container.querySelectorAll('polyline')).toHaveLength(2);
  expect(screen.getByText(/^Worse since run 10 of /)).toBeInTheDocument();
  const [first] = links;
  if (first !== undefined) await userEvent.click(first);
  expect(show).toHaveBeenCalledWith(4);
});
