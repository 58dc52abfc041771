import { fireEvent, render, screen } from '@testing-library/react';
import { describe, expect, it, vi } from 'vitest';

import type { ReceivedEntry, SentEntry } from './conversation';
import { MessageRow } from './message-row';
import { binaryPayload, textPayload } from './payload';

function showSent(details: Partial<SentEntry>) {
  const entry: SentEntry = {
    kind: 'sent',
    id: 0,
    atMs: 0,
    characters: 5,
    number: 12,
    payload: textPayload('hello'),
    fate: 'answered',
    ...details,
  };
  return render(<MessageRow entry={entry} />).container;
}

const BARE: ReceivedEntry = {
  kind: 'received',
  id: 0,
  atMs: 0,
  characters: 12,
  payload: { type: 'text', text: 'hello 483920' },
  verdict: 'echoed',
};

function showReceived(details: Partial<ReceivedEntry>) {
  const entry: ReceivedEntry = {
    ...BARE,
    answers: { number: 12, suffix: '483920' },
    roundTripMs: 1.25,
    ...details,
  };
  return render(<MessageRow entry={entry} />).container;
}

describe('a sent message', () => {
  it.each([
    ['waiting', 'waiting'],
    ['lost', 'lost'],
  ] as const)('says that it is %s', (fate, word) => {
    expect(showSent({ fate })).toHaveTextContent(`Sent: hello${word}#12`);
  });

  it('says nothing more of an answered one', () => {
    expect(showSent({})).toHaveTextContent(/^Sent: hello#12\d\d:\d\d:\d\d\.\d\d\d$/);
  });

  it('shows the start of a very long message and how long it is', () => {
    const container = showSent({ payload: textPayload('x'.repeat(1_000_000)) });
    expect(container).toHaveTextContent('the first 4,000 of 1,000,000 characters');
    expect(container.textContent.length).toBeLessThan(4_200);
  });

  it('says of an empty message that it is one', () => {
    expect(showSent({ payload: textPayload('') })).toHaveTextContent('empty message');
  });
});

describe('a reply', () => {
  it('is told apart from its suffix in whichever direction it is written', () => {
    showReceived({ payload: textPayload('שלום 483920') });
    expect(screen.getByText('שלום').localName).toBe('bdi');
    expect(screen.getByText('483920').closest('bdi')).toBeNull();
  });

  it('has its suffix apart, its round-trip time and the message it answers', () => {
    const container = showReceived({});
    expect(screen.getByText('483920')).toHaveTextContent('suffix 483920');
    expect(container).toHaveTextContent('Received: hello suffix 483920');
    expect(container).toHaveTextContent('Round trip 1.3 ms');
    expect(container).toHaveTextContent('answers ↩ #12');
  });

  it('of an exact echo has no suffix, though it ends in a number', () => {
    const container = showReceived({
      payload: { type: 'text', text: '1 2' },
      answers: { number: 1, suffix: null },
    });
    expect(container).toHaveTextContent('Received: 1 2');
    expect(container).not.toHaveTextContent('suffix');
  });

  it.each(['reordered', 'duplicate', 'unexpected'] as const)('says that it is %s', (verdict) => {
    expect(showReceived({ verdict })).toHaveTextContent(verdict);
  });

  it('that is binary shows its size, its first bytes and its suffix apart', () => {
    const bytes = Uint8Array.from({ length: 303 }, (_, index) => index);
    bytes.set(new TextEncoder().encode(' 42'), 300);
    const container = showReceived({
      payload: binaryPayload(bytes),
      answers: { number: 1, suffix: '42' },
    });
    expect(container).toHaveTextContent(
      'binary, 300 bytes: 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f … suffix 42',
    );
  });

  it.each<[string, ReceivedEntry]>([
    ['Details of reply to message 12', { ...BARE, answers: { number: 12, suffix: null } }],
    ['Details of unexpected reply', { ...BARE, verdict: 'unexpected' }],
  ])('has a button that is told from others: %s', (name, entry) => {
    render(<MessageRow entry={entry} onOpen={() => undefined} />);
    expect(screen.getByRole('button')).toHaveAccessibleName(name);
  });

  it('opens when asked to', () => {
    const onOpen = vi.fn();
    const entry: SentEntry = {
      kind: 'sent',
      id: 0,
      atMs: 0,
      characters: 1,
      number: 3,
      payload: textPayload('a'),
      fate: 'answered',
    };
    render(<MessageRow entry={entry} onOpen={onOpen} />);
    fireEvent.click(screen.getByRole('button', { name: 'Details of message 3' }));
    expect(onOpen).toHaveBeenCalledWith(entry);
  });
});
