import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, expect, it, vi } from 'vitest';

import { formatDuration } from '../../lib/figures';
import { describeChange, type LoadNow } from './load-changes';
import { RunChanges } from './run-changes';
import type { RunFigures } from './run-figures';
import RunSteering from './run-steering';

const LOAD: LoadNow = {
  unit: 'rate_per_conn',
  planned: 2,
  rate: 2.2,
  factor: 1.1,
  paused: false,
  changes: [
    { t_s: 3, what: 'rate', unit: 'rate_per_conn', old: 2, new: 2.2, paused_s: null },
    { t_s: 5, what: 'pause', unit: 'rate_per_conn', old: 2.2, new: 0, paused_s: null },
    { t_s: 9, what: 'resume', unit: 'rate_per_conn', old: 0, new: 2.2, paused_s: 4 },
  ],
};

/** Stands for the console: keeps what it was asked, and refuses a rate of `soon/s`. */
function listen() {
  const asked: unknown[] = [];
  vi.stubGlobal('fetch', (_: unknown, { body }: { body: string }) => {
    asked.push(JSON.parse(body));
    const isWrong = body.includes('soon');
    const answer = isWrong ? { error: 'rate: it is not one', field: 'rate' } : {};
    return Promise.resolve(new Response(JSON.stringify(answer), { status: isWrong ? 422 : 200 }));
  });
  return asked;
}

afterEach(() => {
  vi.unstubAllGlobals();
});

it('pauses, raises, lowers and sets a load, and says why it can not', async () => {
  const asked = listen();
  const user = userEvent.setup();
  const { rerender } = render(<RunSteering runId="a" load={LOAD} />);
  expect(screen.getByRole('status')).toHaveTextContent('2.2/s per socket, planned 2/s per socket.');
  await user.click(screen.getByRole('button', { name: 'Pause' }));
  await user.click(screen.getByRole('button', { name: /^Raise/ }));
  await user.click(screen.getByRole('button', { name: /^Lower/ }));
  await user.type(screen.getByRole('textbox', { name: 'Rate' }), '5{Enter}');
  await user.type(screen.getByRole('textbox', { name: 'Rate' }), 'soon{Enter}');
  expect(await screen.findByRole('alert')).toHaveTextContent('rate: it is not one');
  rerender(<RunSteering runId="a" load={{ ...LOAD, paused: true }} />);
  expect(screen.getByRole('status')).toHaveTextContent('Paused: nothing falls due.');
  await user.click(screen.getByRole('button', { name: 'Resume' }));
  expect(asked).toEqual([
    { paused: true },
    { factor: 1.2 },
    { factor: 1 },
    { rate: '5/s' },
    { rate: 'soon' },
    { paused: false },
  ]);
});

it('multiplies a plan that has no rate of its own by a number, and by nothing else', async () => {
  const asked = listen();
  const user = userEvent.setup();
  const load = { ...LOAD, unit: 'factor', planned: 1, rate: 1.1 };
  render(<RunSteering runId="a" load={load} />);
  const field = screen.getByRole('textbox', { name: 'Rate' });
  await user.type(field, 'twice{Enter}');
  expect(screen.getByRole('alert')).toHaveTextContent('A number by which to multiply the plan');
  expect(field).toHaveValue('twice');
  await user.clear(field);
  await user.type(field, '1.5{Enter}');
  expect(screen.queryByRole('alert')).toBeNull();
  expect(asked).toEqual([{ factor: 1.5 }]);
});

it('has no rate for a load that can only be paused', () => {
  const load = { ...LOAD, unit: null, planned: null, rate: null, factor: 1 };
  render(<RunSteering runId="a" load={load} />);
  expect(screen.queryByRole('textbox')).toBeNull();
  expect(screen.getByRole('button', { name: 'Pause' })).toBeVisible();
});

it('tells of each change when it was and what it came to', () => {
  expect(LOAD.changes.map(describeChange)).toEqual([
    'raised to 2.2/s per socket',
    'paused',
    `went on after ${formatDuration(4)}`,
  ]);
  render(<RunChanges figures={{ changes: LOAD.changes } as unknown as RunFigures} />);
  expect(screen.getByRole('list', { name: 'Changed by hand' }).children).toHaveLength(3);
});
