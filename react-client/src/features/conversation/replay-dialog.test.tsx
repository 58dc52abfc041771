import { render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it } from 'vitest';

import type { SendPlan } from '../../lib/send-plan';
import ReplayDialog from './replay-dialog';

const line = (data: string) =>
  `${JSON.stringify({ type: 'sent', at_ms: 1, kind: 'text', data })}\n`;

/** jsdom's files cannot be read; this one is, as soon as `reading` says. */
const fileOf = (name: string, reading: Promise<string>) =>
  Object.assign(new File(['x'], name), { text: () => reading });

it('replays the file that was chosen last, whichever is read last', async () => {
  const started: SendPlan[] = [];
  render(
    <ReplayDialog
      onStart={(plan) => {
        started.push(plan);
        return null;
      }}
      onClose={() => undefined}
    />,
  );
  let readLarge: (text: string) => void = () => undefined;
  const large = new Promise<string>((resolve) => (readLarge = resolve));
  const field = screen.getByLabelText('Export, NDJSON or CSV');
  await userEvent.upload(field, fileOf('large.ndjson', large));
  await userEvent.upload(field, fileOf('small.ndjson', Promise.resolve(line('small'))));
  await waitFor(() => {
    expect(screen.getByRole('status')).toHaveTextContent('1 message over');
  });
  readLarge(line('large') + line('large'));
  await large;
  await userEvent.click(screen.getByRole('button', { name: 'Start' }));
  expect(started).toEqual([{ kind: 'replay', messages: [{ afterMs: 0, data: 'small' }] }]);
});
