import { render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { useState } from 'react';
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

function OwnForm({ onStart }: { onStart: () => Promise<null> }) {
  const [form, setForm] = useState(EMPTY_PLAN);
  const fixed = { isBusy: false, scenarios: [], ownUrl: null };
  return <LoadForm {...fixed} form={form} onChange={setForm} onStart={onStart} />;
}

describe('what is no value of its kind', () => {
  it('is said once one has left its field, and is not sent', async () => {
    const asked: string[] = [];
    const start = () => {
      asked.push('start');
      return Promise.resolve(null);
    };
    render(<OwnForm onStart={start} />);
    const duration = screen.getByRole('textbox', { name: /^Duration/ });
    await userEvent.clear(duration);
    await userEvent.type(duration, '10');
    expect(screen.queryByRole('alert')).toBeNull();
    await userEvent.tab();
    expect(screen.getByRole('alert')).toHaveTextContent('‘10’ is not a duration');
    await userEvent.click(screen.getByRole('button', { name: 'Start the run' }));
    await waitFor(() => {
      expect(duration).toHaveFocus();
    });
    expect(asked).toEqual([]);
    await userEvent.type(duration, 's');
    expect(screen.queryByRole('alert')).toBeNull();
    await userEvent.click(screen.getByRole('button', { name: 'Start the run' }));
    expect(asked).toEqual(['start']);
  });

  it('is found behind what was folded away', async () => {
    render(<OwnForm onStart={() => Promise.resolve(null)} />);
    await userEvent.click(screen.getByText('More settings'));
    await userEvent.type(screen.getByRole('textbox', { name: /^Size/ }), '1KB');
    await userEvent.click(screen.getByText('More settings'));
    await userEvent.click(screen.getByRole('button', { name: 'Start the run' }));
    const size = screen.getByRole('textbox', { name: /^Size/ });
    await waitFor(() => {
      expect(size).toHaveFocus();
    });
    expect(size).toBeInvalid();
  });
});

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
