import { render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';

import { CopyButton } from './copy-button';

describe('CopyButton', () => {
  it('copies, and says so until one moves on', async () => {
    const user = userEvent.setup();
    render(<CopyButton text="make serve" label="make serve" />);
    const button = screen.getByRole('button', { name: 'Copy make serve' });
    await user.click(button);
    await waitFor(() => {
      expect(screen.getByRole('status')).toHaveTextContent('Copied');
    });
    expect(button).toHaveTextContent('Copied');
    await expect(navigator.clipboard.readText()).resolves.toBe('make serve');
    await user.tab();
    expect(button).toHaveTextContent(/^Copy$/);
    expect(screen.getByRole('status')).toBeEmptyDOMElement();
  });

  it('says so where the browser gives pages no clipboard', async () => {
    const user = userEvent.setup();
    vi.spyOn(navigator.clipboard, 'writeText').mockRejectedValue(new Error('denied'));
    render(<CopyButton text="make serve" label="make serve" />);
    await user.click(screen.getByRole('button'));
    await waitFor(() => {
      expect(screen.getByRole('status')).toHaveTextContent('Copy by hand');
    });
    expect(screen.getByRole('button')).toHaveTextContent('Copy by hand');
  });
});
