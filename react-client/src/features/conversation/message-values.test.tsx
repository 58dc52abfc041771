import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';

import { readPath } from '../../lib/values/value-path';
import { NO_CHOICE } from './binary-choice';
import { Conversation, type ReceivedEntry } from './conversation';
import ConversationPanel from './conversation-panel';
import { decode } from './decoders';
import { MessageRow } from './message-row';
import { binaryPayload, type Payload, textPayload } from './payload';
import { PLAIN_READING, type RowReading, RowReadingContext } from './row-reading';

const ADDRESS = 'ws://one.example/feed';

function received(payload: Payload): ReceivedEntry {
  return { kind: 'received', id: 0, atMs: 0, characters: 1, payload, verdict: 'ignored' };
}

function row(payload: Payload, reading: Partial<RowReading> = {}) {
  return render(
    <RowReadingContext value={{ ...PLAIN_READING, ...reading }}>
      <MessageRow entry={received(payload)} />
    </RowReadingContext>,
  ).container;
}

function column(path: string): Partial<RowReading> {
  const read = readPath(path);
  if (!read.ok) throw new Error(read.problem);
  return { column: { caption: path, path: read.value } };
}

function binary(decoder: 'utf-8' | 'msgpack'): Partial<RowReading> {
  const how = { ...NO_CHOICE, decoder };
  return { binary: { name: decoder, decode: (bytes) => decode(bytes, how) } };
}

describe('a row', () => {
  it('shows JSON in one line, as it was written', () => {
    expect(row(textPayload('{\n  "n": 9007199254740993\n}'))).toHaveTextContent(
      /^Received: { "n": 9007199254740993 }/,
    );
  });

  it('shows as it is what only looks like JSON', () => {
    const container = row(textPayload('{"n": oops}'));
    expect(container.querySelector('[dir=ltr]')).toBeNull();
    expect(container).toHaveTextContent('{"n": oops}');
  });

  it('reads nothing of a message that is too long for a row, and shows its beginning', () => {
    const container = row(textPayload(`[${'"words", '.repeat(200_000)}1]`), column('$[0]'));
    expect(container.textContent.length).toBeLessThan(500);
    expect(container).toHaveTextContent(/^\$\[0\]: too longReceived: \["words",/);
  });

  it.each([
    ['{"id": 7, "type": "tick"}', '$.id: 7'],
    ['{"type": "tick"}', '$.id: –'],
    ['hello', '$.id: –'],
    ['{"id": 1, "id": 2}', '$.id: 12'],
  ])('has the chosen value of %s beside it', (text, cell) => {
    const container = row(textPayload(text), column('$.id'));
    expect(container.querySelector('[data-column]')).toHaveTextContent(cell);
  });

  it('of a binary message is as the decoder reads it, or says that it does not', () => {
    const bytes = (...all: number[]) => binaryPayload(Uint8Array.from(all));
    expect(row(bytes(0x81, 0xa1, 0x61, 1), binary('msgpack'))).toHaveTextContent(
      'msgpack, 4 bytes: {"a": 1}',
    );
    expect(row(bytes(0xc1), binary('msgpack'))).toHaveTextContent(
      'binary, 1 byte, not msgpack: c1',
    );
    expect(row(bytes(0x68, 0x69), binary('utf-8'))).toHaveTextContent('utf-8, 2 bytes: hi');
  });
});

function panelOf(conversation: Conversation<string>) {
  return (
    <ConversationPanel
      conversation={conversation.snapshot()}
      latency={{ subscribe: () => () => undefined, getSnapshot: () => ({}) as never }}
      target={null}
      address={ADDRESS}
      renderNotice={() => null}
      describeNotice={(notice) => ({ type: notice })}
      onStart={() => null}
      onResend={() => Promise.resolve(null)}
      onClear={() => undefined}
      onRestartCounts={() => undefined}
      welcome={null}
    />
  );
}

function said(...payloads: readonly Payload[]) {
  const conversation = new Conversation<string>();
  for (const payload of payloads) conversation.recordReceived(payload, 0);
  return conversation;
}

const details = async (nth: number) => {
  const buttons = screen.getAllByRole('button', { name: /^Details of/ });
  const button = buttons.at(nth);
  if (button !== undefined) await userEvent.click(button);
  return screen.findByRole('dialog');
};

describe('the log', () => {
  it('is filtered, and gets a column, by a value that one has chosen in a message', async () => {
    render(
      panelOf(
        said(
          textPayload('{"id": 1, "type": "tick"}'),
          textPayload('{"id": 2, "type": "tock"}'),
          textPayload('{"id": 3, "type": "tick"}'),
        ),
      ),
    );
    let dialog = await details(0);
    await userEvent.click(within(dialog).getByText('"tick"'));
    await userEvent.click(within(dialog).getByRole('button', { name: 'Filter by it' }));
    expect(screen.getByRole('textbox', { name: 'Value' })).toHaveValue('$.type == "tick"');
    expect(await screen.findByText('2 of 3 messages pass')).toBeVisible();
    expect(screen.queryByText('"tock"')).toBeNull();

    dialog = await details(1);
    await userEvent.click(within(dialog).getByText('3'));
    await userEvent.click(within(dialog).getByRole('button', { name: 'Show as a column' }));
    const cells = [...document.querySelectorAll('[data-column]')];
    expect(cells.map((cell) => cell.textContent)).toEqual(['$.id: 1', '$.id: 3']);
    await userEvent.click(screen.getByRole('button', { name: 'Remove' }));
    expect(document.querySelector('[data-column]')).toBeNull();
  });

  it('compares a message with that before it, readable without colour', async () => {
    render(
      panelOf(
        said(textPayload('{"a": [1, 2], "b": 0}'), textPayload('{"b": 0, "a": [1, 3], "c": null}')),
      ),
    );
    const dialog = await details(1);
    await userEvent.click(
      within(dialog).getByRole('button', { name: 'With the one received before' }),
    );
    const comparison = await screen.findByRole('region', { name: 'Comparison' });
    expect(within(comparison).getByRole('status')).toHaveTextContent('2 differences');
    const items = within(comparison).getByRole('group', { name: 'Differences' });
    expect(
      within(items)
        .getAllByRole('listitem')
        .map((item) => item.textContent),
    ).toEqual(['$.a[1] changed−2+3', '$.c only in the second+null']);
    await userEvent.click(screen.getByRole('button', { name: 'Back to the message' }));
    expect(await screen.findByRole('tree', { name: 'Tree' })).toBeVisible();
  });

  it('compares text with one that was marked, line by line', async () => {
    render(panelOf(said(textPayload('one\ntwo'), textPayload('x'), textPayload('one\n2'))));
    await userEvent.click(within(await details(0)).getByRole('button', { name: /^Mark it/ }));
    await userEvent.click(screen.getByRole('button', { name: 'Close' }));
    const dialog = await details(2);
    await userEvent.click(within(dialog).getByRole('button', { name: /^With the marked one/ }));
    const lines = await screen.findByRole('group', { name: 'Lines' });
    expect([...lines.children].map((line) => line.textContent)).toEqual(['1 one', '2−two', '2+2']);
    expect(screen.getByText('They differ from character 5 on.')).toBeVisible();
  });

  it('reads binary messages as was chosen for the address, also another time', async () => {
    const conversation = said(binaryPayload(Uint8Array.from([0x81, 0xa1, 0x61, 0xcc, 200])));
    const { unmount } = render(panelOf(conversation));
    const dialog = await details(0);
    await userEvent.click(within(dialog).getByRole('button', { name: 'MessagePack' }));
    const tree = await within(dialog).findByRole('tree', { name: 'MessagePack' });
    expect(tree).toHaveTextContent('"a": 200byte 3');
    unmount();
    render(panelOf(conversation));
    expect(await screen.findByText('MessagePack, 5 bytes:', { exact: false })).toBeVisible();
  });

  it('says of a message that is no JSON where, and of one that is no MessagePack at which byte', async () => {
    render(panelOf(said(textPayload('{"a": 1,}'), binaryPayload(Uint8Array.from([0x92, 1])))));
    expect(within(await details(0)).getByRole('note')).toHaveTextContent(
      'Not JSON: a name in double quotes expected, “}” found, line 1, column 9.',
    );
    await userEvent.click(screen.getByRole('button', { name: 'Close' }));
    const dialog = await details(1);
    await userEvent.click(within(dialog).getByRole('button', { name: 'MessagePack' }));
    expect(await within(dialog).findByRole('note')).toHaveTextContent(
      'MessagePack, byte 2 (0x2): the message ends where a value should begin.',
    );
    expect(within(dialog).getByLabelText('Hex')).toHaveTextContent('92 01');
  });
});

it('a message that waited when it was opened keeps what is unfolded when its reply comes', async () => {
  const conversation = new Conversation<string>();
  conversation.recordSent(textPayload('{"a": {"b": 1}}'), 0);
  const { rerender } = render(panelOf(conversation));
  const dialog = await details(0);
  await userEvent.click(within(dialog).getByRole('button', { name: 'Fold all' }));
  expect(within(dialog).getAllByRole('treeitem')).toHaveLength(2);
  conversation.recordReceived(textPayload('{"a": {"b": 1}} 7'), 1);
  rerender(panelOf(conversation));
  expect(within(dialog).getByText('answered')).toBeVisible();
  expect(within(dialog).getAllByRole('treeitem')).toHaveLength(2);
});
