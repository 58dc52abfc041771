import { useRef, useState } from 'react';

import button from '../../components/button.module.css';
import panel from '../../components/panel.module.css';
import { formatCount, formatPlural } from '../../lib/figures';
import type { Collection } from './model';
import type { FileReading } from './read-file';
import { readInWorker } from './read-in-worker';
import styles from './saved.module.css';

interface ImportPartProps {
  /** Settles to why nothing was added, or to `null`. */
  onAdd: (collection: Collection) => Promise<string | null>;
  read?: (file: File) => Promise<FileReading>;
}

/** Reads a file and shows what is in it, and what is not taken over, before anything is added. */
export function ImportPart({ onAdd, read = readInWorker }: ImportPartProps) {
  const picker = useRef<HTMLInputElement>(null);
  const [reading, setReading] = useState<FileReading | 'reading' | null>(null);
  const [said, setSaid] = useState('');
  /** The file that was chosen last: an earlier one may be read only after it. */
  const chosen = useRef<File | null>(null);

  const choose = async (file: File | undefined) => {
    if (file === undefined) return;
    chosen.current = file;
    setSaid('');
    setReading('reading');
    const found = await read(file);
    if (chosen.current === file) setReading(found);
  };
  const add = async (collection: Collection) => {
    const whyNot = await onAdd(collection);
    if (whyNot === null) setReading(null);
    setSaid(whyNot ?? `${contentsOf(collection)} added.`);
  };
  return (
    <section className={styles.group} aria-label="Import">
      <p className={styles.foot}>
        <input
          ref={picker}
          type="file"
          hidden
          accept=".json,.har,application/json"
          aria-label="File to import"
          onChange={({ target }) => {
            void choose(target.files?.[0]);
            target.value = '';
          }}
        />
        <button type="button" className={button.smallQuiet} onClick={() => picker.current?.click()}>
          Import a file…
        </button>
        <span className={panel.note}>
          Ours, Hoppscotch’s, Postman’s, or a HAR of the browser’s.
        </span>
      </p>
      <p
        role="status"
        className={reading !== null && isProblem(reading) ? panel.problem : panel.note}
      >
        {reading === 'reading' ? 'Reading…' : reading?.ok === false ? reading.problem : said}
      </p>
      {reading !== null && reading !== 'reading' && reading.ok && (
        <>
          <p>
            <strong>{reading.from}</strong>: {contentsOf(reading.collection)}.
          </p>
          {reading.notes.length > 0 && (
            <>
              <p className={panel.note}>Not taken over, or changed:</p>
              <ul className={styles.notes}>
                {reading.notes.map(({ what, count, names }) => (
                  <li key={what}>
                    {formatCount(count)} × {what}
                    {names.length > 0 && (
                      <>
                        : <bdi>{names.join(', ')}</bdi>
                        {names.length < count && ' …'}
                      </>
                    )}
                  </li>
                ))}
              </ul>
            </>
          )}
          <p className={styles.foot}>
            <button
              type="button"
              className={button.smallPrimary}
              onClick={() => void add(reading.collection)}
            >
              Add them
            </button>
            <button type="button" className={button.smallQuiet} onClick={() => setReading(null)}>
              Leave it
            </button>
          </p>
        </>
      )}
    </section>
  );
}

function isProblem(reading: FileReading | 'reading'): boolean {
  return reading !== 'reading' && !reading.ok;
}

function contentsOf({ connections, environments }: Collection): string {
  const parts = [
    ...(connections.length > 0
      ? [formatPlural(connections.length, 'connection', 'connections')]
      : []),
    ...(environments.length > 0
      ? [formatPlural(environments.length, 'environment', 'environments')]
      : []),
  ];
  return parts.join(' and ');
}
