import { fireEvent, render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';

import type { Entry } from './conversation';
import { MessageList } from './message-list';

function messages(from: number, count: number): Entry<string>[] {
  return Array.from({ length: count }, (_, index) => ({
    kind: 'sent',
    id: from + index,
    atMs: 0,
    characters: 1,
    number: from + index + 1,
    text: `message ${String(from + index + 1)}`,
    fate: 'waiting',
  }));
}

function list(entries: readonly Entry<string>[], dropped = 0) {
  return (
    <MessageList
      entries={entries}
      dropped={dropped}
      renderNotice={(entry) => <p>notice: {entry.notice}</p>}
    />
  );
}

/** Scrolls so that the end of the list is so far below the window. */
function scrollAway(log: HTMLElement, distancePx: number) {
  Object.defineProperty(log, 'scrollHeight', { value: 2_000, configurable: true });
  log.scrollTop = 2_000 - log.clientHeight - distancePx;
  fireEvent.scroll(log);
}

describe('MessageList', () => {
  it('puts only the rows in view into the document, numbered among all', () => {
    render(list(messages(0, 10_000)));
    const rows = within(screen.getByRole('log')).getAllByRole('listitem');
    expect(rows.length).toBeGreaterThan(5);
    expect(rows.length).toBeLessThan(100);
    expect(rows[0]).toHaveAttribute('aria-setsize', '10000');
    expect(rows[0]).toHaveAttribute('aria-posinset', '1');
  });

  it('shows notices among the messages', () => {
    const notice = { kind: 'notice', id: 1, atMs: 0, characters: 0, notice: 'opened' } as const;
    render(list([...messages(0, 1), notice]));
    expect(screen.getByText('notice: opened')).toBeVisible();
  });

  it('says what it has dropped, and nothing when it has not', () => {
    const { rerender } = render(list(messages(0, 3)));
    expect(screen.queryByText(/dropped/)).not.toBeInTheDocument();
    rerender(list(messages(12_431, 3), 12_431));
    expect(screen.getByText('Showing the last 3; 12,431 dropped.')).toBeVisible();
  });

  it('lets go of the tail when one scrolls up, counts what is new, and takes it up again', async () => {
    const { rerender } = render(list(messages(0, 50)));
    const log = screen.getByRole('log');
    expect(log).toHaveAttribute('aria-live', 'polite');
    expect(screen.queryByRole('button')).not.toBeInTheDocument();

    scrollAway(log, 400);
    expect(log).toHaveAttribute('aria-live', 'off');
    expect(screen.getByRole('button')).toHaveAccessibleName('Jump to the newest');

    rerender(list(messages(0, 53)));
    scrollAway(log, 500);
    await userEvent.click(screen.getByRole('button', { name: '3 new · Jump to the newest' }));
    expect(log).toHaveFocus();

    scrollAway(log, 0);
    expect(log).toHaveAttribute('aria-live', 'polite');
    expect(screen.queryByRole('button')).not.toBeInTheDocument();
  });
});
