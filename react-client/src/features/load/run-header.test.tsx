import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it } from 'vitest';

import type { PlanForm } from './plan-form';
import { RunHeader } from './run-header';
import type { RunSummary } from './runs-client';

const RUN: RunSummary = {
  ...{ id: 'a', state: 'done', startedAtMs: 0, endedAtMs: 1, exitCode: 0, verdict: 'valid' },
  ...{ error: null, name: 'nightly', note: 'before', kept: '7', isChanged: false },
  ...{ hasPage: false },
  plan: { count: 20, url: 'ws://own/', duration_s: 5, rate: 100, headers: [] },
};

function show(run: RunSummary) {
  const done: unknown[] = [];
  const keep = (what: string) => (more: unknown) => {
    done.push([what, more]);
    return Promise.resolve(null);
  };
  render(
    <RunHeader
      run={run}
      figures={null}
      ownUrl="ws://own/"
      onCancel={() => Promise.resolve(null)}
      onAnnotate={keep('annotate')}
      onPlan={(form: PlanForm) => done.push(['plan', form])}
      onAgain={keep('again')}
    />,
  );
  return done;
}

it('runs the plan once more, under the same name', async () => {
  const done = show(RUN);
  expect(screen.getByRole('heading')).toHaveTextContent('nightly');
  await userEvent.click(screen.getByRole('button', { name: 'Run again' }));
  const form = { name: 'nightly', count: '20', url: '', drive: 'total', rate: '100/s' };
  expect(done).toEqual([['again', expect.objectContaining(form)]]);
});

it('does not start what the form cannot say, but fills it and says what is missing', async () => {
  const done = show({ ...RUN, plan: { ...RUN.plan, headers: [['Authorization', '***']] } });
  await userEvent.click(screen.getByRole('button', { name: 'Run again' }));
  expect(await screen.findByRole('alert')).toHaveTextContent('no field: header');
  expect(done).toEqual([['plan', expect.objectContaining({ count: '20' })]]);
});

it('keeps another name and note', async () => {
  const done = show(RUN);
  await userEvent.click(screen.getByRole('button', { name: 'Name and note' }));
  await userEvent.type(screen.getByRole('textbox', { name: 'Name' }), ' 2');
  await userEvent.type(screen.getByRole('textbox', { name: 'Note' }), ' and after');
  await userEvent.click(screen.getByRole('button', { name: 'Save' }));
  expect(done).toEqual([['annotate', { name: 'nightly 2', note: 'before and after' }]]);
});
