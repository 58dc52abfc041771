import { type SubmitEvent, useId, useState } from 'react';

import button from '../../components/button.module.css';
import panel from '../../components/panel.module.css';
import { rememberConsoleToken } from '../../lib/console-fetch';
import { formatDuration } from '../../lib/figures';
import { useSecondsUntil } from '../../lib/use-seconds-until';
import styles from './feed-status.module.css';
import type { FeedState } from './live-feed';
import type { ServerSnapshot } from './server-snapshot';

interface FeedStatusProps {
  state: FeedState;
  latest: ServerSnapshot | undefined;
  onRetry: () => void;
}

/** Whether what is shown is live, and of which server. */
export function FeedStatus({ state, latest, onRetry }: FeedStatusProps) {
  return (
    <div className={styles.status}>
      <p className={styles.line} role="status">
        <span className={styles.dot} data-phase={state.phase} aria-hidden="true" />
        {SENTENCES[state.phase]}
        {state.phase === 'live' && latest?.draining === true && ' · draining'}
        {state.phase === 'waiting' && state.problem}
      </p>
      {state.phase === 'live' && latest !== undefined && (
        <p className={styles.about}>
          {latest.url !== null && <code>{latest.url}</code>}
          {latest.upstream !== null && (
            <span>
              a proxy before <code>{latest.upstream}</code>
            </span>
          )}
          {latest.uptimeS !== null && <span>up {formatDuration(Math.floor(latest.uptimeS))}</span>}
          {latest.workers !== null && latest.workers > 1 && <span>{latest.workers} workers</span>}
        </p>
      )}
      {state.phase === 'waiting' && (
        <p className={styles.about}>
          <Countdown untilMs={state.retryAtMs} />
          <button type="button" className={button.smallQuiet} onClick={onRetry}>
            Try now
          </button>
        </p>
      )}
    </div>
  );
}

const SENTENCES = {
  idle: 'Not listening',
  connecting: 'Asking the console…',
  live: 'Live',
  waiting: '',
  locked: 'The console wants its token',
} as const;

function Countdown({ untilMs }: { untilMs: number }) {
  const leftS = useSecondsUntil(untilMs);
  // A screen reader that read every second of it out would say nothing else.
  return <span aria-live="off">Trying again in {leftS} s</span>;
}

/** Asks for the token of a console that listens beyond this machine. */
export function TokenForm(props: { wasRefused: boolean; onToken: () => void }) {
  const { wasRefused, onToken } = props;
  const [token, setToken] = useState('');
  const fieldId = useId();
  const problemId = useId();
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (token.trim() === '') return;
    rememberConsoleToken(token.trim());
    onToken();
  };
  return (
    <form className={styles.token} onSubmit={submit}>
      <label htmlFor={fieldId}>
        The token that the server was started with (<code>--console-token</code>). It is kept for
        this tab alone.
      </label>
      <span className={styles.tokenRow}>
        <input
          id={fieldId}
          className={styles.field}
          type="password"
          autoComplete="off"
          // The form has just been sent from here, and goes on here.
          // oxlint-disable-next-line jsx-a11y/no-autofocus
          autoFocus={wasRefused}
          aria-invalid={wasRefused}
          aria-describedby={wasRefused ? problemId : undefined}
          value={token}
          onChange={(event) => {
            setToken(event.target.value);
          }}
        />
        <button type="submit" className={button.primary}>
          Unlock
        </button>
      </span>
      {wasRefused && (
        <p id={problemId} className={panel.problem} role="alert">
          The console did not take that token.
        </p>
      )}
    </form>
  );
}
