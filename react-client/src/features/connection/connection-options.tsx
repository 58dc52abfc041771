import { type ReactNode, useId, useState } from 'react';

import button from '../../components/button.module.css';
import { Field } from '../../components/field';
import panel from '../../components/panel.module.css';
import { readCloseChoice } from './close-choice';
import { chooseReconnect, doesReconnect } from './reconnect-choice';
import { readSubprotocols } from './subprotocols';
import { forgetAddresses } from './url-history';

interface ConnectionOptionsProps {
  subprotocols: string;
  onSubprotocols: (typed: string) => void;
  isOpen: boolean;
  onDisconnect: (code: number, reason: string) => void;
  onForget: () => void;
  children?: ReactNode;
}

/** How to connect, beyond the address. It holds from the next connection on. */
export default function ConnectionOptions(props: ConnectionOptionsProps) {
  const { subprotocols, onSubprotocols, onForget } = props;
  const [reconnects, setReconnects] = useState(doesReconnect);
  const [hasForgotten, setHasForgotten] = useState(false);
  const noteId = useId();
  const read = readSubprotocols(subprotocols);
  return (
    <>
      <Field name="Subprotocols to offer">
        {(id) => (
          <>
            <input
              id={id}
              className={`${panel.input ?? ''} ${panel.code ?? ''}`}
              value={subprotocols}
              placeholder="none"
              autoComplete="off"
              autoCapitalize="off"
              spellCheck={false}
              aria-invalid={!read.ok}
              aria-describedby={noteId}
              onChange={({ target }) => {
                onSubprotocols(target.value);
              }}
            />
            <p id={noteId} className={read.ok ? panel.note : panel.problem}>
              {read.ok ? 'Names apart by commas, the favourite first.' : read.problem}
            </p>
          </>
        )}
      </Field>
      <label className={panel.choice}>
        <input
          type="checkbox"
          checked={reconnects}
          onChange={({ target }) => {
            chooseReconnect(target.checked);
            setReconnects(target.checked);
          }}
        />
        <span>Connect again by itself when the connection is lost</span>
      </label>
      {props.children}
      <CloseForm isOpen={props.isOpen} onDisconnect={props.onDisconnect} />
      <p>
        <button
          type="button"
          className={button.smallQuiet}
          onClick={() => {
            forgetAddresses();
            setHasForgotten(true);
            onForget();
          }}
        >
          Forget earlier addresses
        </button>{' '}
        <span className={panel.note} role="status">
          {hasForgotten && 'Forgotten.'}
        </span>
      </p>
    </>
  );
}

/** Disconnects with a code and a reason of one's own. */
function CloseForm(props: Pick<ConnectionOptionsProps, 'isOpen' | 'onDisconnect'>) {
  const { isOpen, onDisconnect } = props;
  const [code, setCode] = useState('1000');
  const [reason, setReason] = useState('');
  const noteId = useId();
  const choice = readCloseChoice(code, reason);
  const canClose = isOpen && choice.ok;
  const whyNot = isOpen ? CLOSE_NOTE : 'There is no connection to close.';
  return (
    <>
      <div className={panel.row}>
        <Field name="Close code">
          {(id) => (
            <input
              id={id}
              className={panel.input}
              inputMode="numeric"
              value={code}
              aria-invalid={!choice.ok}
              aria-describedby={noteId}
              onChange={({ target }) => setCode(target.value)}
            />
          )}
        </Field>
        <Field name="Reason">
          {(id) => (
            <input
              id={id}
              className={panel.input}
              value={reason}
              placeholder="none"
              aria-describedby={noteId}
              onChange={({ target }) => setReason(target.value)}
            />
          )}
        </Field>
        <button
          type="button"
          className={button.smallQuiet}
          aria-disabled={!canClose}
          onClick={() => {
            if (canClose) onDisconnect(choice.code, choice.reason);
          }}
        >
          Close with it
        </button>
      </div>
      <p id={noteId} className={choice.ok ? panel.note : panel.problem}>
        {choice.ok ? whyNot : choice.problem}
      </p>
    </>
  );
}

const CLOSE_NOTE = 'Browsers let a page close with 1000, or with 3000 to 4999.';
