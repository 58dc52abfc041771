import { render, screen } from '@testing-library/react';
import { userEvent } from '@testing-library/user-event';
import { expect, it } from 'vitest';

import { RunHistory } from './run-history';
import type { RunSummary } from './runs-client';

const run = (ending: Partial<RunSummary>): RunSummary => ({
  id: 'a',
  state: 'done',
  plan: {},
  startedAtMs: 0,
  endedAtMs: 1,
  exitCode: 0,
  verdict: 'valid',
  error: null,
  name: '',
  note: '',
  kept: null,
  isChanged: false,
  hasPage: true,
  ...ending,
});

it.each<[Partial<RunSummary>, string, string]>([
  [{}, 'Valid', 'good'],
  [{ exitCode: 99 }, 'Threshold breached', 'bad'],
  [{ exitCode: 69, verdict: 'failed' }, 'Nothing opened', 'bad'],
  [{ exitCode: 130 }, 'Interrupted', 'wary'],
  [{ exitCode: 1, verdict: 'failed' }, 'Failed', 'bad'],
  [{ exitCode: 3, verdict: 'generator-limited' }, 'Generator-limited', 'wary'],
  // Of an exit code that this page does not know, nothing good is said.
  [{ exitCode: 77 }, 'valid', 'wary'],
  [{ exitCode: null }, 'valid', 'wary'],
  [{ state: 'failed', exitCode: 2, verdict: null }, 'No report', 'bad'],
  [{ state: 'running', exitCode: null, verdict: null }, 'Running', 'wary'],
  [{ state: 'cancelling', exitCode: null, verdict: null }, 'Cancelling', 'wary'],
])('lists a run with %o as %s', (ending, word, tone) => {
  render(<RunHistory runs={[run(ending)]} shownId={null} onShow={() => undefined} />);
  expect(screen.getByText(word)).toHaveAttribute('data-tone', tone);
});

it('marks a run whose load was changed by hand', () => {
  const runs = [run({ id: 'a', isChanged: true }), run({ id: 'b' })];
  render(<RunHistory runs={runs} shownId={null} onShow={() => undefined} />);
  const [changed, planned] = screen.getAllByRole('listitem');
  expect(changed).toHaveTextContent('Valid · changed by hand');
  expect(planned).not.toHaveTextContent('changed by hand');
});

it('lists the newest, and the run that is shown, until one asks for all', async () => {
  const runs = Array.from({ length: 20 }, (_, at) =>
    run({ id: `r${String(at)}`, name: `n${String(at)}` }),
  );
  render(<RunHistory runs={runs} shownId="r12" onShow={() => undefined} />);
  const names = () =>
    screen.getAllByRole('listitem').map((item) => /^n\d+/.exec(item.textContent)?.[0]);
  expect(names()).toEqual(['n0', 'n1', 'n2', 'n3', 'n4', 'n12']);
  await userEvent.click(screen.getByRole('button', { name: 'Show 14 more' }));
  expect(names()).toEqual(runs.map(({ name }) => name));
  await userEvent.click(screen.getByRole('button', { name: 'Show fewer', expanded: true }));
  expect(names()).toHaveLength(6);
});

it('offers no more where all are listed', () => {
  const runs = ['a', 'b', 'c', 'd', 'e'].map((id) => run({ id }));
  const { rerender } = render(<RunHistory runs={runs} shownId={null} onShow={() => undefined} />);
  expect(screen.queryByRole('button', { name: /^Show/ })).toBeNull();
  // The sixth is the one that is shown.
  rerender(<RunHistory runs={[...runs, run({ id: 'f' })]} shownId="f" onShow={() => undefined} />);
  expect(screen.queryByRole('button', { name: /^Show/ })).toBeNull();
});
