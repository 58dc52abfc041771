import { describe, expect, it } from 'vitest';

import { commandsThatStartServer } from './server-commands';
import { DEFAULT_SOCKET_URL } from './socket-url';

describe('commandsThatStartServer', () => {
  it.each([
    [DEFAULT_SOCKET_URL, ['python -m echo_trio', 'make serve']],
    ['ws://localhost:8765/plain', ['python -m echo_trio', 'make serve']],
    ['ws://127.0.0.1:9001/', ['python -m echo_trio --port 9001']],
    ['ws://127.0.0.1/', ['python -m echo_trio --port 80']],
    ['ws://[::1]:8765/', ['python -m echo_trio --host ::1']],
    ['ws://127.0.0.2:9001/', ['python -m echo_trio --host 127.0.0.2 --port 9001']],
    ['wss://127.0.0.1:8765/', []],
    ['ws://example.org:8765/', []],
  ])('for %s are %j', (url, commands) => {
    expect(commandsThatStartServer(url).map(({ command }) => command)).toEqual(commands);
  });
});
