import { render, screen } from '@testing-library/react';
import { describe, expect, it } from 'vitest';

import type { CloseReport } from './close-report';
import { ConnectionNotice } from './connection-notice';

function showClose(details: Partial<CloseReport>, lostCount = 0) {
  const report: CloseReport = {
    url: 'ws://127.0.0.1:8765/',
    code: 1000,
    reason: '',
    closedBy: 'server',
    hadOpened: true,
    ...details,
  };
  render(<ConnectionNotice notice={{ kind: 'closed', report, lostCount }} atMs={0} />);
}

describe('ConnectionNotice', () => {
  it('tells of an opened connection', () => {
    const notice = {
      kind: 'opened',
      url: 'ws://127.0.0.1:8765/',
      handshakeMs: 3.21,
      subprotocol: 'chat',
      extensions: '',
    } as const;
    render(<ConnectionNotice notice={notice} atMs={0} />);
    expect(screen.getByText(/Connected to/)).toHaveTextContent(
      'Connected to ws://127.0.0.1:8765/ in 3.2 ms',
    );
  });

  it('tells of a closed one who closed it, the code, the reason and what they mean', () => {
    showClose({ code: 1001, reason: 'shutting down' });
    const notice = screen.getByRole('region', { name: 'The server closed the connection' });
    expect(notice).toHaveTextContent('1001 Going away · reason shutting down');
    expect(notice).toHaveTextContent('The server is shutting down or restarting');
    expect(notice).toHaveTextContent('Connect again once the server is back.');
    expect(notice).not.toHaveTextContent('lost');
  });

  it('says what was lost, and why when it was the page that closed', () => {
    showClose({ closedBy: 'page' }, 3);
    expect(screen.getByRole('region')).toHaveTextContent(
      '3 messages were still unanswered, and count as lost. Browsers discard replies',
    );
  });

  it('shows how to start a server when none answered', () => {
    showClose({ code: 1006, closedBy: 'unknown', hadOpened: false });
    expect(screen.getByText('python -m echo_trio')).toBeVisible();
    expect(screen.getByText('make serve')).toBeVisible();
    expect(screen.getByRole('button', { name: 'Copy python -m echo_trio' })).toBeVisible();
  });

  it.each([
    ['the attempt was cancelled', { closedBy: 'page', hadOpened: false }],
    ['it had opened', { closedBy: 'unknown' }],
    ['the server is elsewhere', { url: 'wss://example.org/', hadOpened: false }],
  ] as const)('shows no such help when %s', (_, details) => {
    showClose({ code: 1006, ...details });
    expect(screen.queryByText(/python/)).not.toBeInTheDocument();
  });
});
