import { render, screen, within } from '@testing-library/react';
import { afterEach, expect, it, vi } from 'vitest';

import RunTrends from './run-trends';

const PLANNED = { verdict: 'valid', interrupted: false, opened: 5, breached: false, changes: [] };
const ENDED = [
  PLANNED,
  { ...PLANNED, breached: true },
  { ...PLANNED, verdict: 'failed', opened: 0 },
  { ...PLANNED, changes: [{}] },
];
const RUNS = ENDED.map((ended, at) => ({
  id: at + 1,
  started_at: `2027-01-0${String(at + 1)}T02:00:00+00:00`,
  counted: true,
  ...ended,
}));
const TREND = {
  name: 'latency p99',
  unit: 'ms',
  values: [1, 2, null, 4],
  changes: [],
  noise: null,
};

afterEach(() => {
  vi.unstubAllGlobals();
});

it('lists the runs of a name, the newest first, in the words and colours of their exit codes', async () => {
  const lines = [{ name: 'nightly', different: [], runs: RUNS, trends: [TREND] }];
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(JSON.stringify({ lines }))));
  render(<RunTrends runId="1" shown={2} onShow={() => undefined} />);
  const table = within(await screen.findByRole('table'));
  const [, ...rows] = table.getAllByRole('row');
  const told = rows.map((row) => within(row).getAllByRole('cell')[1]?.textContent);
  expect(told).toEqual([
    'Valid · changed by hand',
    'Nothing opened',
    'Threshold breached',
    'Valid',
  ]);
  expect(table.getByText('Threshold breached')).toHaveAttribute('data-tone', 'bad');
  expect(table.getByText('Nothing opened')).toHaveAttribute('data-tone', 'bad');
  expect(table.getByRole('link', { name: '2' })).toHaveAttribute('aria-current', 'true');
});
