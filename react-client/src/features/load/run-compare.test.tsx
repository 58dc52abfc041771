import { render, screen } from '@testing-library/react';
import { expect, it } from 'vitest';

import { RunCompare } from './run-compare';
import type { RunSummary } from './runs-client';

const run = (id: string): RunSummary => ({
  id,
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
});

it('calls a run by its name, and one without by its plan', () => {
  const runs = [{ ...run('b'), name: 'nightly' }, run('a')];
  render(<RunCompare runs={runs} loadReport={() => new Promise(() => undefined)} />);
  const [named, plain] = screen.getAllByRole('option');
  expect(named).toHaveTextContent(/ · \u2068nightly\u2069$/);
  expect(plain).not.toHaveTextContent('\u2068');
});

it('says which report cannot be had, rather than showing nothing', async () => {
  render(
    <RunCompare
      runs={[run('b'), run('a')]}
      loadReport={(id) =>
        id === 'a' ? Promise.reject(new TypeError('gone')) : new Promise(() => undefined)
      }
    />,
  );
  expect(await screen.findByRole('alert')).toHaveTextContent('The report of the first run');
});
