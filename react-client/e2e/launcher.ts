import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

/** The variable that tells the workers what starts our programs: see tests/integration/warm_start.py. */
export const LAUNCHER = 'TESTS_LAUNCHER';

/** The Python that has our packages. */
export function findPython({ PYTHON }: NodeJS.ProcessEnv): string {
  return PYTHON === undefined || PYTHON === '' ? '.venv/bin/python' : PYTHON;
}

/**
 * Has one process import our programs, whose servers and generators are forks of it: to import them
 * takes longer than most tests need them. Where that is not to be had, each is a new program.
 */
export default async function haveLauncher(): Promise<(() => Promise<void>) | undefined> {
  if (process.platform !== 'linux') return undefined;
  const starter = spawn(findPython(process.env), ['tests/integration/starter.py'], {
    cwd: REPOSITORY,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(starter, 'exit');
  const named = once(starter.stdout, 'data') as Promise<[Buffer]>;
  const told = await Promise.race([named, ended.then(() => undefined)]);
  if (told === undefined) throw new Error('tests/integration/starter.py has ended');
  process.env[LAUNCHER] = told[0].toString().trim();
  return async () => {
    starter.stdin.end();
    await ended;
  };
}
