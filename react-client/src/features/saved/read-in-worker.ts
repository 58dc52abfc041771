import { formatBytes } from '../../lib/figures';
import { MOST } from './model';
import type { FileReading } from './read-file';

/** The largest file takes some seconds; one that takes longer is not what it says. */
const LONGEST_MS = 60_000;

/** Reads a file that somebody chose. Never throws: what is wrong is told. */
export function readInWorker(file: File): Promise<FileReading> {
  if (file.size > MOST.fileBytes) {
    const problem = `This file has ${formatBytes(file.size)}; at most ${formatBytes(MOST.fileBytes)} are read.`;
    return Promise.resolve({ ok: false, problem });
  }
  return new Promise((resolve) => {
    const worker = new Worker(new URL('./import-worker.ts', import.meta.url), { type: 'module' });
    const settle = (reading: FileReading) => {
      clearTimeout(timer);
      worker.terminate();
      resolve(reading);
    };
    const timer = setTimeout(() => {
      settle({ ok: false, problem: 'Reading this file was given up after a minute.' });
    }, LONGEST_MS);
    worker.addEventListener('message', ({ data }: MessageEvent<FileReading>) => {
      settle(data);
    });
    worker.addEventListener('error', () => {
      settle({ ok: false, problem: 'The part of the page that reads files did not start.' });
    });
    worker.postMessage(file);
  });
}
