import { readFileText } from './read-file';

/** Reads a file on a thread of its own: however large it is, the page goes on. */
self.addEventListener('message', ({ data: file }: MessageEvent<Blob>) => {
  void file.text().then(
    (text) => {
      self.postMessage(readFileText(text));
    },
    () => {
      self.postMessage({ ok: false, problem: 'The browser cannot read this file.' });
    },
  );
});
