import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { expect, it } from 'vitest';

import { LoadSession } from './load-session';
import { LoadView } from './load-view';

it('says of one run what went wrong with it, and not of the next that is shown', async () => {
  const runs = [
    { id: 'a1', state: 'running', plan: { count: 1 } },
    { id: 'b2', state: 'failed', plan: { count: 2 }, error: 'It left no report.' },
  ];
  const console = createServer(({ method, url }, response) => {
    for (const what of ['Origin', 'Headers', 'Methods']) {
      response.setHeader(`Access-Control-Allow-${what}`, '*');
    }
    if (method === 'DELETE') response.writeHead(500).end('{"error": "no hands free"}');
    else if (method === 'OPTIONS') response.writeHead(204).end();
    else if (url?.endsWith('/live')) response.writeHead(404).end();
    else response.end(JSON.stringify({ runs }));
  });
  console.listen(0, '127.0.0.1');
  await once(console, 'listening');
  const { port } = console.address() as AddressInfo;
  const session = new LoadSession({ base: `http://127.0.0.1:${String(port)}/` });
  render(
    <LoadView session={session} ownUrl={null} syncKey="" renderClock={() => null} help={null} />,
  );
  await userEvent.click(await screen.findByRole('button', { name: 'Cancel the run' }));
  expect(await screen.findByRole('alert')).toHaveTextContent('no hands free');
  await userEvent.click(screen.getByRole('button', { name: /2 sockets/ }));
  expect(await screen.findByRole('heading', { name: /2 sockets/ })).toBeVisible();
  expect(screen.queryByRole('alert')).not.toBeInTheDocument();
  session.stop();
  console.closeAllConnections();
  console.close();
});
