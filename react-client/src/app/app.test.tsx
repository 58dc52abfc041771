import { fireEvent, render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';

import { startSocketChannel } from '../testing/socket-thread';
import { onText, startServer } from '../testing/web-socket-server';
import { App } from './app';
import { ChatSession } from './chat-session';
import { ChatTabs } from './chat-tabs';

const newChats = () =>
  new ChatTabs('ws://127.0.0.1:8765/', () => new ChatSession({ startThread: startSocketChannel }));

describe('App', () => {
  it('shows how to start a server before anything else has happened', () => {
    render(<App chats={newChats()} />);
    expect(screen.getByRole('heading', { name: 'Talk to a WebSocket' })).toBeVisible();
    expect(screen.getByText('python -m echo_trio')).toBeVisible();
  });

  it('chats with a server', async () => {
    const server = await startServer((client) => {
      onText(client, (text) => {
        client.send(`${text} 42`);
      });
    });
    render(<App chats={newChats()} />);
    const address = screen.getByRole('combobox', { name: 'Address' });
    await userEvent.clear(address);
    await userEvent.type(address, `${server.url}{Enter}`);
    await waitFor(() => {
      expect(screen.getByText(/Connected since/)).toBeVisible();
    });

    await userEvent.type(screen.getByRole('textbox', { name: 'Message' }), 'hello{Enter}');
    expect(await screen.findByText('42')).toBeVisible();
    expect(screen.getByText('Every message came back right.')).toBeVisible();
    await server.stop();
  });

  it('says beside the address that http:// is meant to be ws://', async () => {
    render(<App chats={newChats()} />);
    const address = screen.getByRole('combobox', { name: 'Address' });
    await userEvent.clear(address);
    await userEvent.type(address, 'http://127.0.0.1:8765/{Enter}');
    expect(await screen.findByRole('alert')).toHaveTextContent(
      'did you mean ws://127.0.0.1:8765/?',
    );
  });

  it('keeps a message that could not be sent', async () => {
    render(<App chats={newChats()} />);
    const message = screen.getByRole('textbox', { name: 'Message' });
    await userEvent.type(message, 'precious{Enter}');
    expect(await screen.findByRole('alert')).toHaveTextContent('nothing was sent');
    expect(message).toHaveValue('precious');
  });

  it('switches the theme and remembers it', async () => {
    const { unmount } = render(<App chats={newChats()} />);
    await userEvent.click(screen.getByRole('button', { name: 'Switch to the dark theme' }));
    expect(document.documentElement).toHaveAttribute('data-theme', 'dark');
    unmount();
    render(<App chats={newChats()} />);
    expect(screen.getByRole('button', { name: 'Switch to the light theme' })).toBeVisible();
  });

  it('shows the link where there is no clipboard, and does not follow it itself', async () => {
    const chats = newChats();
    render(<App chats={chats} />);
    await userEvent.click(screen.getByRole('button', { name: 'Copy a link to this' }));
    expect(await screen.findByText('Copy the address bar')).toBeVisible();
    // Until a change of the hash would have been told.
    await new Promise((resolve) => setTimeout(resolve));
    expect(location.hash).toBe('#/chat?url=ws%3A%2F%2F127.0.0.1%3A8765%2F');
    expect(chats.store.getSnapshot().active.proposals).toBe(0);
    history.replaceState(null, '', '#');
  });

  it('leaves the keyboard beside a connection that is closed', async () => {
    const chats = newChats();
    chats.add();
    chats.add();
    render(<App chats={chats} />);
    await userEvent.click(screen.getByRole('button', { name: 'Close connection 2' }));
    expect(screen.getByRole('button', { name: /^Connection 2,/ })).toHaveFocus();
  });

  it('takes a key that is held down for one press', () => {
    const chats = newChats();
    render(<App chats={chats} />);
    fireEvent.keyDown(document.body, { key: 'n' });
    fireEvent.keyDown(document.body, { key: 'n', repeat: true });
    expect(chats.store.getSnapshot().tabs).toHaveLength(2);
  });

  it('takes a key that follows at once for the view that the key before has opened', async () => {
    render(<App chats={newChats()} />);
    fireEvent.keyDown(document.body, { key: '2' });
    await screen.findByRole('tab', { name: 'Server', selected: true });
    fireEvent.keyDown(document.body, { key: '1' });
    fireEvent.keyDown(document.body, { key: 'i' });
    expect(screen.getByRole('textbox', { name: 'Message' })).toHaveFocus();
  });
});
