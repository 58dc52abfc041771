import { useId, useState } from 'react';

import button from '../../components/button.module.css';
import { Field } from '../../components/field';
import panel from '../../components/panel.module.css';
import { chooseReconnect, doesReconnect } from './reconnect-choice';
import { readSubprotocols } from './subprotocols';
import { forgetAddresses } from './url-history';

interface ConnectionOptionsProps {
  subprotocols: string;
  onSubprotocols: (typed: string) => void;
  onForget: () => void;
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
