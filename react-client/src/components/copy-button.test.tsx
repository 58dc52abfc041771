import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';

import { CopyButton } from './copy-button';

describe('CopyButton', () => {
  it('copies, and says so until one moves on', async () => {
    const user = userEvent.setup();
    render(<CopyButton text="make serve" label="make serve" />);
    const button = screen.getByRole('button', { name: 'Copy make serve' });
    await user.click(button);
    expect(await screen.findByText('Copied')).toBeVisible();
    await expect(navigator.clipboard.readText()).resolves.toBe('make serve');
    await user.tab();
    expect(button).toHaveTextContent('Copy');
  });

  it('says so where the browser gives pages no clipboard', async () => {
    const user = userEvent.setup();
    vi.spyOn(navigator.clipboard, 'writeText').mockRejectedValue(new Error('denied'));
    render(<CopyButton text="make serve" label="make serve" />);
    await user.click(screen.getByRole('button'));
    expect(await screen.findByText('Copy by hand')).toBeVisible();
  });
});
