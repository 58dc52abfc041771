import { type SubmitEvent, useState } from 'react';

import button from '../../components/button.module.css';
import { Field } from '../../components/field';
import panel from '../../components/panel.module.css';
import { AutomationFields } from './automation-fields';
import { type ConnectionDraft, draftOf, readConnectionDraft } from './connection-draft';
import { MessageEditor } from './message-editor';
import type { ConnectionContent, SavedHeader } from './model';
import { NamedValueFields } from './named-value-fields';
import { Rows } from './rows';
import styles from './saved.module.css';

interface ConnectionFormProps {
  content: ConnectionContent;
  /** Why it could not be saved; `null` where it could. */
  problem: string | null;
  /** Another tab was faster: then one may save it beside the other. */
  isStale: boolean;
  onSave: (content: ConnectionContent, asNew: boolean) => void;
  onExport: (content: ConnectionContent) => void;
  onCancel: () => void;
}

const NO_HEADER: SavedHeader = { name: '', value: '', secret: false };
const NO_MESSAGE = { name: '', mode: 'text', text: '' } as const;

/** All that a saved connection has. It holds from the next connecting on. */
export function ConnectionForm(props: ConnectionFormProps) {
  const { content, isStale, onSave } = props;
  const [draft, setDraft] = useState(() => draftOf(content));
  const [wrong, setWrong] = useState<string | null>(null);
  const problem = wrong ?? props.problem;

  const change = (changed: Partial<ConnectionDraft>) => {
    setDraft({ ...draft, ...changed });
    setWrong(null);
  };
  const save = (asNew: boolean) => {
    const read = readConnectionDraft(draft);
    setWrong(read.ok ? null : read.problem);
    if (read.ok) onSave(read.content, asNew);
  };
  const field = (name: string, key: 'name' | 'address' | 'subprotocols', placeholder = '') => (
    <Field name={name}>
      {(id) => (
        <input
          id={id}
          className={`${panel.input ?? ''} ${key === 'name' ? '' : (panel.code ?? '')}`}
          autoComplete="off"
          autoCapitalize="off"
          spellCheck={false}
          placeholder={placeholder}
          value={draft[key]}
          onChange={({ target }) => change({ [key]: target.value })}
        />
      )}
    </Field>
  );

  return (
    <form
      aria-label="Saved connection"
      style={{ display: 'contents' }}
      noValidate
      onSubmit={(event: SubmitEvent) => {
        event.preventDefault();
        event.stopPropagation();
        save(false);
      }}
    >
      {field('Name', 'name')}
      {field('Address', 'address', 'ws://host:port/path?token={{token}}')}
      {field('Subprotocols', 'subprotocols', 'none')}
      <Rows
        title="Messages"
        one="message"
        items={draft.messages}
        empty={NO_MESSAGE}
        onChange={(messages) => change({ messages })}
      >
        {(message, label, set) => (
          <MessageEditor hasName label={label} message={message} onChange={set} />
        )}
      </Rows>
      <AutomationFields
        automation={draft.automation}
        onChange={(automation) => change({ automation })}
      />
      <Rows
        title="Headers"
        note="Sent where the server dials, to this host alone (Options: Through the server). Browsers let no page set headers."
        one="header"
        items={draft.headers}
        empty={NO_HEADER}
        onChange={(headers) => change({ headers })}
      >
        {(header, label, set) => <NamedValueFields item={header} label={label} onChange={set} />}
      </Rows>
      {problem !== null && (
        <p className={panel.problem} role="alert">
          {problem}
        </p>
      )}
      <p className={styles.foot}>
        <button type="submit" className={button.primary}>
          Save
        </button>
        {isStale && (
          <button type="button" className={button.quiet} onClick={() => save(true)}>
            Save as a new one
          </button>
        )}
        <button type="button" className={button.quiet} onClick={props.onCancel}>
          Back
        </button>
        <button type="button" className={button.quiet} onClick={() => props.onExport(content)}>
          Export it
        </button>
      </p>
    </form>
  );
}
