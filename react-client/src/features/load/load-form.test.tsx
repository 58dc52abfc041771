import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';

import { LoadForm } from './load-form';
import type { StartProblem } from './load-session';
import { EMPTY_PLAN } from './plan-form';

async function startAndMeet(problem: StartProblem, drive = EMPTY_PLAN.drive) {
  render(
    <LoadForm
      form={{ ...EMPTY_PLAN, drive }}
      isBusy={false}
      scenarios={[]}
      ownUrl={null}
      onChange={() => undefined}
      onStart={() => Promise.resolve(problem)}
    />,
  );
  await userEvent.click(screen.getByRole('button', { name: 'Start the run' }));
}

describe('what the console does not take', () => {
  it('is said at a field that was folded away, which unfolds', async () => {
    await startAndMeet({ field: 'size', message: 'size: huge is none' });
    expect(await screen.findByRole('alert')).toBeVisible();
    expect(screen.getByRole('textbox', { name: /^Size/ })).toBeInvalid();
  });

  it.each([
    ['has no room of its own', 'arrivals', 'per-socket'],
    ['is not asked for', 'rate_per_conn', 'idle'],
    ['the form does not have', 'source_ip', 'per-socket'],
  ] as const)('is said below where it is about a setting that %s', async (_, field, drive) => {
    await startAndMeet({ field, message: `${field}: no` }, drive);
    expect(await screen.findByRole('alert')).toHaveTextContent(`${field}: no`);
  });
});
