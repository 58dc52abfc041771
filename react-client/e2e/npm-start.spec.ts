import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

import { expect, test } from '@playwright/test';

import { findDeadPort } from './ports';

const CLIENT = fileURLToPath(new URL('..', import.meta.url));

/** Runs what `npm start` runs, on a free port, with the console at `consoleUrl`. */
function start(consoleUrl: string): { vite: ChildProcess; output: () => string } {
  const vite = spawn('node_modules/.bin/vite', ['--port', '0'], {
    cwd: CLIENT,
    env: { ...process.env, CONSOLE_URL: consoleUrl },
  });
  let output = '';
  for (const stream of [vite.stdout, vite.stderr]) {
    stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  }
  return { vite, output: () => stripVTControlCharacters(output) };
}

test('says once, in one line, that no console answers', async () => {
  const console = `http://127.0.0.1:${String(await findDeadPort())}`;
  const { vite, output } = start(console);
  const lines = () => output().split('\n');
  try {
    await expect.poll(output).toMatch(/Local: +http\S+/);
    const page = /Local: +(http\S+)/.exec(output())?.[1] ?? '';
    for (const path of ['/api/server', '/api/runs', '/healthz']) {
      expect((await fetch(new URL(path, page))).status).toBe(502);
    }
    await expect
      .poll(() => lines().filter((line) => line.includes(console)))
      .toEqual([expect.stringContaining(`No console at ${console} (ECONNREFUSED)`)]);
    expect(output()).not.toContain('    at ');
  } finally {
    vite.kill();
    await once(vite, 'exit');
  }
});

test('refuses what is not the address of a console in one line', async () => {
  const { vite, output } = start('localhost:8766');
  await once(vite, 'close');
  expect(vite.exitCode).toBe(2);
  expect(output().trim()).toBe(
    'CONSOLE_URL is not the address of a console, such as http://127.0.0.1:8766: localhost:8766',
  );
});
