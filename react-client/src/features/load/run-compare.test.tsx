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
  hasPage: true,
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
