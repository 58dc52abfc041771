import { fireEvent, render, screen } from '@testing-library/react';
import { describe, expect, it, vi } from 'vitest';

import { ErrorBoundary } from './error-boundary';

function Faulty(): never {
  throw new Error('the roof fell in');
}

describe('ErrorBoundary', () => {
  it('says that the page failed, and why', () => {
    // React reports the error on the console as well.
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    render(
      <ErrorBoundary>
        <Faulty />
      </ErrorBoundary>,
    );
    expect(screen.getByRole('alert')).toHaveTextContent('the roof fell in');
  });

  it('shows the part again, with all that it holds, once whatever it was is over', () => {
    vi.spyOn(console, 'error').mockImplementation(() => undefined);
    let isOver = false;
    const Part = () => (isOver ? <p>the log</p> : <Faulty />);
    render(
      <ErrorBoundary>
        <Part />
      </ErrorBoundary>,
    );
    isOver = true;
    fireEvent.click(screen.getByRole('button', { name: 'Show it again' }));
    expect(screen.getByText('the log')).toBeVisible();
  });

  it('is not seen while all is well', () => {
    render(<ErrorBoundary>fine</ErrorBoundary>);
    expect(screen.getByText('fine')).toBeVisible();
  });
});
