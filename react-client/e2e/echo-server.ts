import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const READY = /^ready ws=(ws:\/\/\S+) console=/m;

/** The real server, as a process of its own. */
export interface EchoServer {
  /** Ends in a slash. */
  readonly url: string;
  /** Asks it to drain (SIGTERM) and waits until it has exited; returns its exit code. */
  readonly stop: () => Promise<number | null>;
}

/** Starts `python -m echo_trio` on a free port and waits until it says that it listens. */
export async function startEchoServer(): Promise<EchoServer> {
  const { PYTHON } = process.env;
  const python = PYTHON === undefined || PYTHON === '' ? '.venv/bin/python' : PYTHON;
  const server = spawn(python, ['-m', 'echo_trio', '--port', '0', '--no-console'], {
    cwd: REPOSITORY,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(server, 'exit') as Promise<[number | null]>;
  const url = await waitUntilReady(server);
  return {
    url,
    stop: async () => {
      server.kill('SIGTERM');
      const [code] = await exited;
      return code;
    },
  };
}

function waitUntilReady(server: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let stdout = '';
    let stderr = '';
    server.stderr?.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    server.stdout?.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      const url = READY.exec(stdout)?.[1];
      if (url !== undefined) resolve(url);
    });
    server.once('error', reject);
    server.once('exit', (code) => {
      reject(new Error(`echo_trio exited with ${String(code)} before it was ready:\n${stderr}`));
    });
  });
}
