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
  const effectivePort = port === '' ? '80' : port;
  const hostFlag = isDefaultHost(hostname) ? '' : ` --host ${hostname.replace(/^\[|\]$/g, '')}`;
  const portFlag = effectivePort === DEFAULT_PORT ? '' : ` --port ${effectivePort}`;
  const flags = hostFlag + portFlag;
  const installed = { where: 'Where it is installed', command: `python -m echo_trio${flags}` };
  if (flags !== '') return [installed];
  return [installed, { where: 'In a checkout', command: 'make serve' }];
}

/** Where it listens unless told otherwise; browsers try that for `localhost` too. */
function isDefaultHost(hostname: string): boolean {
  return hostname === '127.0.0.1' || hostname.endsWith('localhost');
}
