import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it } from 'vitest';

import { ConnectionBar } from './connection-bar';
import type { ConnectionState } from './connection-state';

const URL_IN_USE = 'ws://127.0.0.1:8765/';

function show(connection: ConnectionState, whatIsWrong: string | null = null) {
  const asked: string[] = [];
  const bar = (state: ConnectionState) => (
    <ConnectionBar
      connection={state}
      initialUrl={URL_IN_USE}
      onConnect={(url) => {
        asked.push(`connect ${url}`);
        return Promise.resolve(whatIsWrong);
      }}
      onDisconnect={() => asked.push('disconnect')}
    />
  );
  const { rerender } = render(bar(connection));
  return {
    asked,
    becomes: (state: ConnectionState) => {
      rerender(bar(state));
    },
  };
}

const closed = (details: object): ConnectionState => ({
  phase: 'closed',
  report: {
    url: URL_IN_USE,
    code: 1006,
    reason: '',
    closedBy: 'unknown',
    hadOpened: true,
    ...details,
  },
});

describe('ConnectionBar', () => {
  it('connects to the default address by keyboard alone', async () => {
    const { asked } = show({ phase: 'idle' });
    await userEvent.tab();
    expect(screen.getByRole('combobox', { name: 'Address' })).toHaveFocus();
    await userEvent.keyboard('{Enter}');
    expect(asked).toEqual([`connect ${URL_IN_USE}`]);
  });

  it('says beside the field what is wrong with the address, until it is changed', async () => {
    show({ phase: 'idle' }, 'An address has no spaces in it.');
    const field = screen.getByRole('combobox', { name: 'Address' });
    await userEvent.click(screen.getByRole('button', { name: 'Connect' }));
    expect(await screen.findByRole('alert')).toHaveTextContent('An address has no spaces in it.');
    expect(field).toBeInvalid();
    expect(field).toHaveAccessibleDescription('An address has no spaces in it.');
    expect(field).toHaveValue(URL_IN_USE);

    await userEvent.type(field, 'x');
    expect(screen.queryByRole('alert')).not.toBeInTheDocument();
    expect(field).toBeValid();
  });

  it.each([
    [{ phase: 'idle' }, 'Connect', 'Not connected'],
    [{ phase: 'connecting', url: URL_IN_USE }, 'Cancel', 'Connecting…'],
    [{ phase: 'open', url: URL_IN_USE, openedAtMs: 0 }, 'Disconnect', 'Connected since'],
    [{ phase: 'closing', url: URL_IN_USE }, 'Closing…', 'Closing…'],
    [
      closed({ closedBy: 'server', code: 1001 }),
      'Connect',
      'Closed by the server · 1001 Going away',
    ],
    [closed({ closedBy: 'page', code: 1000 }), 'Connect', 'Closed by you · 1000 Normal closure'],
    [closed({}), 'Connect', 'Connection broken · 1006 Abnormal closure'],
    [closed({ hadOpened: false }), 'Connect', 'No connection'],
    [closed({ hadOpened: false, closedBy: 'page' }), 'Connect', 'Not connected'],
  ] satisfies [ConnectionState, string, string][])(
    'of a connection in state %j shows the button "%s" and "%s"',
    (connection, button, status) => {
      show(connection);
      expect(screen.getByRole('button', { name: button })).toBeVisible();
      expect(screen.getByRole('status')).toHaveTextContent(status);
    },
  );

  it('disconnects when connected, and does nothing while closing', async () => {
    const { asked, becomes } = show({ phase: 'open', url: URL_IN_USE, openedAtMs: 0 });
    await userEvent.click(screen.getByRole('button', { name: 'Disconnect' }));
    expect(asked).toEqual(['disconnect']);
    becomes({ phase: 'closing', url: URL_IN_USE });
    await userEvent.click(screen.getByRole('button', { name: 'Closing…' }));
    expect(asked).toEqual(['disconnect']);
  });

  it('takes another address while the page tries the old one again by itself', async () => {
    const { asked, becomes } = show(closed({}));
    const field = screen.getByRole('combobox', { name: 'Address' });
    await userEvent.clear(field);
    await userEvent.type(field, 'ws://127.0.0.1:1');
    becomes({ phase: 'connecting', url: URL_IN_USE, attempt: 1 });
    await userEvent.type(field, '2/{Enter}');
    expect(asked).toEqual(['connect ws://127.0.0.1:12/']);
    expect(await screen.findByRole('button', { name: 'Stop trying' })).toBeVisible();
  });
});
