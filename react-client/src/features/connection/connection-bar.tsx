import { type SubmitEvent, useId, useState } from 'react';

import styles from './connection-bar.module.css';
import type { ConnectionState } from './connection-state';
import { ConnectionStatus } from './connection-status';

interface ConnectionBarProps {
  connection: ConnectionState;
  /** What the field starts with. */
  initialUrl: string;
  /** Settles to what is wrong with the address, in one line, or to `null`. */
  onConnect: (url: string) => Promise<string | null>;
  onDisconnect: () => void;
}

/** The address, the one button that connects or disconnects, and how things stand. */
export function ConnectionBar({
  connection,
  initialUrl,
  onConnect,
  onDisconnect,
}: ConnectionBarProps) {
  const [url, setUrl] = useState(initialUrl);
  const [problem, setProblem] = useState<string | null>(null);
  const fieldId = useId();
  const problemId = useId();

  const isBusy = connection.phase !== 'idle' && connection.phase !== 'closed';

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (connection.phase === 'closing') return;
    setProblem(null);
    if (isBusy) onDisconnect();
    else void onConnect(url).then(setProblem);
  };

  return (
    <form className={styles.bar} onSubmit={submit} noValidate aria-label="Connection">
      <div className={styles.address} data-invalid={problem !== null}>
        <label htmlFor={fieldId} className={styles.label}>
          Address
        </label>
        <input
          id={fieldId}
          className={styles.field}
          type="text"
          inputMode="url"
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          value={url}
          readOnly={isBusy}
          aria-invalid={problem !== null}
          aria-describedby={problem === null ? undefined : problemId}
          onChange={(event) => {
            setUrl(event.target.value);
            setProblem(null);
          }}
        />
        <button
          type="submit"
          className={isBusy ? styles.quietButton : styles.button}
          aria-disabled={connection.phase === 'closing'}
        >
          {BUTTON_CAPTIONS[connection.phase]}
        </button>
      </div>
      {problem === null ? (
        <ConnectionStatus connection={connection} />
      ) : (
        <p id={problemId} className={styles.problem} role="alert">
          {problem}
        </p>
      )}
    </form>
  );
}

const BUTTON_CAPTIONS = {
  idle: 'Connect',
  connecting: 'Cancel',
  open: 'Disconnect',
  closing: 'Closing…',
  closed: 'Connect',
} as const;
