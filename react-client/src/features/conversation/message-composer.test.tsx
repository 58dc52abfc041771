import { cleanup, render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';

import type { Outgoing } from '../../lib/send-plan';
import { MessageComposer } from './message-composer';

function show(whyNot: string | null) {
  const sent: Outgoing[] = [];
  const composer = (isConnected: boolean) => (
    <MessageComposer
      isConnected={isConnected}
      onSend={(text) => {
        if (whyNot === null) sent.push(text);
        return Promise.resolve(whyNot);
      }}
    />
  );
  const { rerender } = render(composer(whyNot === null));
  return {
    sent,
    field: screen.getByRole('textbox', { name: 'Message' }),
    connects: () => {
      rerender(composer(true));
    },
  };
}

describe('MessageComposer', () => {
  it('sends with Enter and is ready for the next message', async () => {
    const { field, sent } = show(null);
    await userEvent.type(field, 'hello{Enter}there{Enter}');
    expect(sent).toEqual(['hello', 'there']);
    expect(field).toHaveValue('');
    expect(field).toHaveFocus();
  });

  it('starts a new line with Shift and Enter', async () => {
    const { field, sent } = show(null);
    await userEvent.type(field, 'a{Shift>}{Enter}{/Shift}b{Enter}');
    expect(sent).toEqual(['a\nb']);
  });

  it('sends with the button', async () => {
    const { field, sent } = show(null);
    await userEvent.type(field, 'hello');
    await userEvent.click(screen.getByRole('button', { name: 'Send' }));
    expect(sent).toEqual(['hello']);
  });

  it('counts in bytes, as the server’s limit does', async () => {
    const { field } = show(null);
    await userEvent.type(field, 'ça');
    expect(screen.getByText('3 bytes')).toBeVisible();
  });

  it('keeps the draft and says why when nothing was sent', async () => {
    const { field, connects } = show('Not connected.');
    await userEvent.type(field, 'precious{Enter}');
    expect(await screen.findByRole('alert')).toHaveTextContent('Not connected.');
    expect(field).toHaveValue('precious');
    expect(field).toBeInvalid();

    connects();
    expect(screen.queryByRole('alert')).not.toBeInTheDocument();
    expect(field).toHaveValue('precious');
  });

  it('loses neither a message that came back nor one begun meanwhile', async () => {
    let comeBack: (whyNot: string) => void = () => undefined;
    const underWay = new Promise<string>((resolve) => (comeBack = resolve));
    render(<MessageComposer isConnected onSend={() => underWay} />);
    const field = screen.getByRole('textbox', { name: 'Message' });
    await userEvent.type(field, 'first{Enter}second');
    expect(field).toHaveValue('second');
    comeBack('It closed.');
    expect(await screen.findByRole('alert')).toHaveTextContent('It closed.');
    expect(field).toHaveValue('first\nsecond');
  });

  it('keeps JSON that is none, and says what it lacks', async () => {
    const { field, sent } = show(null);
    await userEvent.click(screen.getByRole('radio', { name: 'JSON' }));
    await userEvent.type(field, '{{"a": {Enter}');
    expect(sent).toEqual([]);
    expect(screen.getByRole('alert')).toHaveTextContent(/^Not JSON: /);
    await userEvent.type(field, '1}{Enter}');
    expect(sent).toEqual(['{"a": 1}']);
  });

  it('sends bytes from hex digits, and from a file', async () => {
    const { field, sent } = show(null);
    await userEvent.click(screen.getByRole('radio', { name: 'Binary' }));
    await userEvent.type(field, '00 ff{Enter}');
    const file = new File([new Uint8Array([1, 2])], 'two.bin');
    // jsdom's files cannot be read; the browser's can.
    Object.assign(file, { arrayBuffer: () => Promise.resolve(new Uint8Array([1, 2]).buffer) });
    await userEvent.upload(screen.getByLabelText('File to send'), file);
    expect(await screen.findByText('two.bin')).toBeVisible();
    await userEvent.click(screen.getByRole('button', { name: 'Send' }));
    expect(sent).toEqual([new Uint8Array([0, 255]), new Uint8Array([1, 2])]);
  });

  it('does not attach a file that was read only after one had turned to something else', async () => {
    const { field } = show(null);
    await userEvent.click(screen.getByRole('radio', { name: 'Binary' }));
    let read: (bytes: ArrayBuffer) => void = () => undefined;
    const reading = new Promise<ArrayBuffer>((resolve) => (read = resolve));
    const file = Object.assign(new File(['x'], 'slow.bin'), { arrayBuffer: () => reading });
    await userEvent.upload(screen.getByLabelText('File to send'), file);
    await userEvent.click(screen.getByRole('radio', { name: 'Text' }));
    read(new ArrayBuffer(2));
    await userEvent.type(field, 'typed');
    expect(screen.queryByText('slow.bin')).not.toBeInTheDocument();
    expect(screen.getByRole('textbox', { name: 'Message' })).toHaveValue('typed');
  });

  it('brings back what was sent before with the up key, and the draft with down', async () => {
    const { field } = show(null);
    await userEvent.type(field, 'one{Enter}two{Enter}half{ArrowUp}');
    expect(field).toHaveValue('two');
    await userEvent.keyboard('{ArrowUp}');
    expect(field).toHaveValue('one');
    await userEvent.keyboard('{ArrowDown}{ArrowDown}');
    expect(field).toHaveValue('half');
  });

  it('keeps the draft over a reload', async () => {
    const { field } = show(null);
    await userEvent.type(field, 'unfinished');
    cleanup();
    expect(show(null).field).toHaveValue('unfinished');
  });
});
