import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

import { findPython, LAUNCHER, REPOSITORY } from './launcher';
import { withPort } from './ports';

const READY = /^ready ws=(?<url>wss?:\/\/\S+) console=(?<consoleUrl>\S+)$/m;

/** The real server, as a process of its own. */
export interface EchoServer {
  /** Ends in a slash. */
  readonly url: string;
  /** Where its console serves the page; `-` without one. */
  readonly consoleUrl: string;
  /** Asks it to drain (SIGTERM) and waits until it has exited; returns its exit code. */
  readonly stop: () => Promise<number | null>;
}

interface ServerOptions {
  readonly console?: boolean;
  /** What its console wants to be told. */
  readonly token?: string;
  /** Makes it a proxy before this server. */
  readonly upstream?: string;
  /** A new Python is to start it, which takes ten times as long as the launcher. */
  readonly isNew?: boolean;
  /** Further ones of its command line. */
  readonly flags?: readonly string[];
  /** The addresses of a server that is to be started anew where it was. */
  readonly at?: { readonly url: string; readonly consoleUrl: string };
}

/** Starts `python -m echo_trio`, on free ports, and waits until it says that it listens. */
export function startEchoServer(options: ServerOptions = {}): Promise<EchoServer> {
  const { console = false, at } = options;
  if (at !== undefined) {
    const consolePort = console ? Number(new URL(at.consoleUrl).port) : null;
    return start(options, Number(new URL(at.url).port), consolePort);
  }
  return withPort((port) => start(options, port, console ? port + 1 : null));
}

async function start(
  { token, upstream, isNew = false, flags: more = [] }: ServerOptions,
  port: number,
  consolePort: number | null,
): Promise<EchoServer> {
  const python = isNew
    ? findPython(process.env)
    : (process.env[LAUNCHER] ?? findPython(process.env));
  const consoleFlags =
    consolePort === null ? ['--no-console'] : ['--console-port', String(consolePort)];
  const upstreamFlags = upstream === undefined ? [] : ['--upstream', upstream];
  const flags = ['--port', String(port), ...consoleFlags, ...upstreamFlags, ...more];
  const server = spawn(python, ['-m', 'echo_trio', ...flags], {
    cwd: REPOSITORY,
    env: { ...process.env, ...(token !== undefined && { ECHO_TRIO_CONSOLE_TOKEN: token }) },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(server, 'exit') as Promise<[number | null]>;
  const addresses = await waitUntilReady(server);
  return {
    ...addresses,
    stop: async () => {
      server.kill('SIGTERM');
      const [code] = await exited;
      return code;
    },
  };
}

function waitUntilReady(server: ChildProcess): Promise<{ url: string; consoleUrl: string }> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    server.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    server.stdout?.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      const { url, consoleUrl } = READY.exec(stdout)?.groups ?? {};
      if (url !== undefined && consoleUrl !== undefined) resolve({ url, consoleUrl });
    });
    server.once('error', reject);
    server.once('exit', (code) => {
      reject(new Error(`echo_trio exited with ${String(code)} before it was ready:\n${stderr}`));
    });
  });
}
