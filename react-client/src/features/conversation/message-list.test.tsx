import { act, fireEvent, render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';

import type { Entry } from './conversation';
import { MessageList } from './message-list';
import { textPayload } from './payload';

function messages(from: number, count: number): Entry<string>[] {
  return Array.from({ length: count }, (_, index) => ({
    kind: 'sent',
    id: from + index,
    atMs: 0,
    characters: 1,
    number: from + index + 1,
    payload: textPayload(`message ${String(from + index + 1)}`),
    fate: 'waiting',
  }));
}

function list(entries: readonly Entry<string>[]) {
  return <MessageList entries={entries} renderNotice={(entry) => <p>notice: {entry.notice}</p>} />;
}

/** Puts the end of the list so far below the window, and says so as a browser does. */
function scrollTo(log: HTMLElement, distanceFromEndPx: number) {
  log.scrollTop = log.scrollHeight - log.clientHeight - distanceFromEndPx;
  fireEvent.scroll(log);
}

function expectFollowing(isFollowing: boolean) {
  expect(screen.getByRole('log')).toHaveAttribute('aria-live', isFollowing ? 'polite' : 'off');
  expect(screen.queryAllByRole('button')).toHaveLength(isFollowing ? 0 : 1);
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

  it('lets go of the tail when one scrolls up, counts what is new, and takes it up again', async () => {
    const { rerender } = render(list(messages(0, 50)));
    const log = screen.getByRole('log');
    expectFollowing(true);

    fireEvent.wheel(log, { deltaY: -100 });
    expectFollowing(false);
    expect(screen.getByRole('button')).toHaveAccessibleName('Jump to the newest');

    scrollTo(log, 400);
    rerender(list(messages(0, 53)));
    scrollTo(log, 500);
    await userEvent.click(screen.getByRole('button', { name: '3 new · Jump to the newest' }));
    expectFollowing(true);
    expect(log).toHaveFocus();
  });

  it('counts as new what there is to see, not what a filter holds back', () => {
    const { rerender } = render(list(messages(0, 50)));
    fireEvent.wheel(screen.getByRole('log'), { deltaY: -100 });
    rerender(list([...messages(0, 50), ...messages(1_000, 2)]));
    expect(screen.getByRole('button')).toHaveAccessibleName('2 new · Jump to the newest');
  });

  it('is not read out while more comes than could be, and says so', () => {
    vi.useFakeTimers();
    const { rerender } = render(list(messages(0, 50)));
    const log = screen.getByRole('log');
    rerender(list(messages(0, 53)));
    expect(log).toHaveAttribute('aria-live', 'polite');
    rerender(list(messages(0, 80)));
    expect(log).toHaveAttribute('aria-live', 'off');
    expect(screen.getByText('Messages come too fast to be read out.')).toBeInTheDocument();
    act(() => {
      vi.advanceTimersByTime(10_000);
    });
    expect(log).toHaveAttribute('aria-live', 'polite');
    vi.useRealTimers();
  });

  it('takes up the tail when one scrolls down to it', () => {
    render(list(messages(0, 50)));
    const log = screen.getByRole('log');
    fireEvent.wheel(log, { deltaY: -100 });
    scrollTo(log, 400);
    expectFollowing(false);
    scrollTo(log, 10);
    expectFollowing(true);
  });

  it.each([
    ['a key', (log: HTMLElement) => fireEvent.keyDown(log, { key: 'PageUp' })],
    [
      'a finger',
      (log: HTMLElement) => {
        fireEvent.touchStart(log, { touches: [{ clientY: 100 }] });
        fireEvent.touchMove(log, { touches: [{ clientY: 140 }] });
      },
    ],
  ])('lets go when one scrolls up by %s', (_, scrollUp) => {
    render(list(messages(0, 50)));
    scrollUp(screen.getByRole('log'));
    expectFollowing(false);
  });

  it('does not let go when the list moves by itself as it grows', () => {
    render(list(messages(0, 50)));
    scrollTo(screen.getByRole('log'), 400);
    expectFollowing(true);
  });

  it('does not let go when it hears late of how the list has moved by itself', () => {
    // A machine that was busy meanwhile has drawn no frame.
    const now = vi.spyOn(performance, 'now');
    now.mockReturnValue(1_000);
    render(list(messages(0, 50)));
    now.mockReturnValue(60_000);
    scrollTo(screen.getByRole('log'), 400);
    expectFollowing(true);
  });

  it('lets go when anything else scrolls a settled list up, such as a search', async () => {
    render(list(messages(0, 50)));
    for (let frame = 1; frame <= 10; frame++) {
      await act(() => new Promise((resolve) => requestAnimationFrame(resolve)));
    }
    scrollTo(screen.getByRole('log'), 400);
    expectFollowing(false);
  });
});
