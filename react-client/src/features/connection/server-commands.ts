import { isLoopback } from './socket-url';

export interface ServerCommand {
  readonly command: string;
  readonly where: string;
}

const DEFAULT_PORT = '8765';

/**
 * The commands that start a server which answers at `url`; none when it is not this machine's to
 * start, or not a plain address.
 */
export function commandsThatStartServer(url: string): readonly ServerCommand[] {
  const { protocol, hostname, port } = new URL(url);
  if (protocol !== 'ws:' || !isLoopback(hostname)) return [];
  const installed = { where: 'Where it is installed' };
  const effectivePort = port === '' ? '80' : port;
  if (effectivePort !== DEFAULT_PORT) {
    return [{ ...installed, command: `python -m echo_trio --port ${effectivePort}` }];
  }
  return [
    { ...installed, command: 'python -m echo_trio' },
    { where: 'In a checkout', command: 'make serve' },
  ];
}
