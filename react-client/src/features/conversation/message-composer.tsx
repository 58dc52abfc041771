import { type SubmitEvent, type KeyboardEvent, useId, useState } from 'react';

import { formatBytes } from '../../lib/figures';
import styles from './message-composer.module.css';

interface MessageComposerProps {
  isConnected: boolean;
  /** Settles to why the message was not sent, in one line, or to `null` when it was. */
  onSend: (text: string) => Promise<string | null>;
}

interface Refusal {
  readonly whyNot: string;
  readonly whileConnected: boolean;
}

/** Writes a message; what could not be sent stays in it. */
export function MessageComposer({ isConnected, onSend }: MessageComposerProps) {
  const [draft, setDraft] = useState('');
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const fieldId = useId();
  const hintId = useId();

  const send = async () => {
    // At once, so that the next message can be begun, or Enter pressed again, without harm.
    setDraft('');
    const whyNot = await onSend(draft);
    if (whyNot !== null) setDraft((begun) => (begun === '' ? draft : `${draft}\n${begun}`));
    setRefusal(whyNot === null ? null : { whyNot, whileConnected: isConnected });
  };

  // Once there is a connection, that there was none is no longer the problem.
  const isOutdated = isConnected && refusal?.whileConnected === false;
  const problem = refusal === null || isOutdated ? null : refusal.whyNot;

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    void send();
  };

  const sendOnEnter = (event: KeyboardEvent) => {
    // Enter also confirms a word in an input method, and must not send it half-written.
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void send();
  };

  return (
    <form className={styles.composer} onSubmit={submit} aria-label="New message">
      <div className={styles.box}>
        <label htmlFor={fieldId} className={styles.label}>
          Message
        </label>
        <textarea
          id={fieldId}
          className={styles.field}
          rows={1}
          placeholder={isConnected ? 'Say something' : 'Connect to send a message'}
          value={draft}
          spellCheck={false}
          aria-describedby={hintId}
          aria-invalid={problem !== null}
          onKeyDown={sendOnEnter}
          onChange={(event) => {
            setDraft(event.target.value);
            setRefusal(null);
          }}
        />
        <button type="submit" className={styles.send} aria-disabled={!isConnected}>
          Send
        </button>
      </div>
      <p id={hintId} className={styles.hint} role={problem === null ? undefined : 'alert'}>
        {problem === null ? (
          <>
            <span className={styles.keys}>
              <kbd>Enter</kbd> sends, <kbd>Shift</kbd> <kbd>Enter</kbd> starts a line
            </span>
            {draft !== '' && <span>{formatBytes(new TextEncoder().encode(draft).length)}</span>}
          </>
        ) : (
          <span className={styles.problem}>{problem}</span>
        )}
      </p>
    </form>
  );
}
