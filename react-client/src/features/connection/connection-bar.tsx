import { type ReactNode, type SubmitEvent, Suspense, useId, useState } from 'react';

import button from '../../components/button.module.css';
import { PopButton } from '../../components/pop-button';
import { lazyPart } from '../../lib/lazy-part';
import { usePartName } from '../../lib/part-name';
import styles from './connection-bar.module.css';
import type { ConnectionState } from './connection-state';
import { ConnectionStatus } from './connection-status';
import { addressesUsed } from './url-history';

const ConnectionOptions = lazyPart(() => import('./connection-options'));
// No first connection has been lost yet.
const RetryLine = lazyPart(() => import('./retry-countdown'));

interface ConnectionBarProps {
  connection: ConnectionState;
  /** What the field starts with, and what is wrong with that. */
  initialUrl: string;
  initialProblem?: string | null;
  /** As typed. */
  subprotocols?: string;
  onSubprotocols?: (typed: string) => void;
  /** Settles to what is wrong with the address, in one line, or to `null`. */
  onConnect: (url: string) => Promise<string | null>;
  /** Closes with 1000, where no code is given. */
  onDisconnect: (code?: number, reason?: string) => void;
  onTyped?: (address: string) => void;
  onTryNow?: () => void;
  onStopTrying?: () => void;
  /** Further options of the connection. */
  options?: ReactNode;
  /** Further tools at the end. */
  children?: ReactNode;
}

const nothing = () => undefined;

/** The address, the one button that connects or disconnects, and how things stand. */
export function ConnectionBar(props: ConnectionBarProps) {
  const { connection, initialUrl, subprotocols = '', onSubprotocols = nothing } = props;
  const {
    onConnect,
    onDisconnect,
    onTyped = nothing,
    onTryNow = nothing,
    onStopTrying = nothing,
  } = props;
  /** What one has typed; until then the field goes by what the page knows. */
  const [typed, setTyped] = useState<string | null>(null);
  const url = typed ?? initialUrl;
  const [problem, setProblem] = useState(props.initialProblem ?? null);
  const [used, setUsed] = useState(addressesUsed);
  const fieldId = useId();
  const listId = useId();
  const problemId = useId();

  /** Amid what the page tries by itself, one may type another address, and connect to that. */
  const attempt = connection.phase === 'connecting' ? connection.attempt : undefined;
  const isFree =
    connection.phase === 'idle' || connection.phase === 'closed' || attempt !== undefined;
  const isBusy = !isFree;
  const retry = connection.phase === 'closed' ? connection.retry : undefined;

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (connection.phase === 'closing') return;
    setProblem(null);
    if (isBusy) onDisconnect();
    else void onConnect(url).then(setProblem);
  };

  return (
    <form
      className={styles.bar}
      onSubmit={submit}
      noValidate
      aria-label={usePartName('Connection')}
    >
      <div className={styles.address} data-invalid={problem !== null}>
        <label htmlFor={fieldId} className={styles.label}>
          Address
        </label>
        <input
          id={fieldId}
          className={styles.field}
          type="text"
          inputMode="url"
          list={listId}
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          value={url}
          readOnly={isBusy}
          aria-invalid={problem !== null}
          aria-describedby={problem === null ? undefined : problemId}
          onFocus={() => {
            setUsed(addressesUsed());
          }}
          onChange={(event) => {
            setTyped(event.target.value);
            onTyped(event.target.value);
            setProblem(null);
          }}
        />
        <datalist id={listId}>
          {used.map((address) => (
            <option key={address} value={address} />
          ))}
        </datalist>
        <button
          type="submit"
          className={isBusy ? styles.quietButton : styles.button}
          aria-disabled={connection.phase === 'closing'}
        >
          {isBusy ? BUTTON_CAPTIONS[connection.phase] : BUTTON_CAPTIONS.idle}
        </button>
      </div>
      <div className={styles.line}>
        {problem === null ? (
          <ConnectionStatus connection={connection} />
        ) : (
          <p id={problemId} className={styles.problem} role="alert">
            {problem}
          </p>
        )}
        {(attempt !== undefined || retry !== undefined) && (
          <Suspense>
            <RetryLine
              attempt={attempt}
              retry={retry}
              onTryNow={onTryNow}
              onStopTrying={onStopTrying}
            />
          </Suspense>
        )}
        <span className={styles.tools}>
          <PopButton label="Connection options" caption="Options" className={button.tool}>
            {(close) => (
              <ConnectionOptions
                subprotocols={subprotocols}
                onSubprotocols={onSubprotocols}
                isOpen={connection.phase === 'open'}
                onDisconnect={(code, reason) => {
                  close();
                  onDisconnect(code, reason);
                }}
                onForget={() => {
                  setUsed([]);
                }}
              >
                {props.options}
              </ConnectionOptions>
            )}
          </PopButton>
          {props.children}
        </span>
      </div>
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
