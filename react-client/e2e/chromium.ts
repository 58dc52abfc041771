import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The shell alone first: without windows around the page it takes two thirds of the CPU. */
const NAMES = ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome'];

/** The browser the tests drive: `CHROMIUM_PATH`, or the first of these on the `PATH`. */
export function findChromium(environment: NodeJS.ProcessEnv): string {
  const named = environment.CHROMIUM_PATH;
  if (named !== undefined && named !== '') {
    if (isExecutable(named)) return named;
    throw new Error(`CHROMIUM_PATH names ${named}, which cannot be run.`);
  }
  const folders = (environment.PATH ?? '').split(delimiter);
  const found = NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(
    isExecutable,
  );
  if (found !== undefined) return found;
  throw new Error(
    'No Chromium found for the browser tests. Install the Debian package ' +
      '"chromium-headless-shell" or "chromium" (apt-get install chromium), ' +
      'or name one in CHROMIUM_PATH.',
  );
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
