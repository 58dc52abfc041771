import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';

import { binaryPayload, textPayload } from './payload';
import { Resend } from './resend';

describe('Resend', () => {
  it('sends the same once more, counts how often, and says why it could not', async () => {
    const sent: unknown[] = [];
    const problem = { is: null as string | null };
    const onResend = (data: unknown) => {
      sent.push(data);
      return Promise.resolve(problem.is);
    };
    const { rerender } = render(
      <Resend payload={textPayload('{seq} as it was')} onResend={onResend} />,
    );
    const press = () => userEvent.click(screen.getByRole('button', { name: 'Send it again' }));
    await press();
    await press();
    expect(screen.getByRole('status')).toHaveTextContent('Sent again, 2 times.');
    problem.is = 'Not connected.';
    rerender(<Resend payload={binaryPayload(new Uint8Array([1, 2]))} onResend={onResend} />);
    await press();
    expect(screen.getByRole('status')).toHaveTextContent('Not connected.');
    expect(sent).toEqual(['{seq} as it was', '{seq} as it was', new Uint8Array([1, 2])]);
  });
});
