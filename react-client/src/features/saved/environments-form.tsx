import { type SubmitEvent, useState } from 'react';

import button from '../../components/button.module.css';
import { Field } from '../../components/field';
import panel from '../../components/panel.module.css';
import type { SavedEnvironment } from './library';
import type { EnvironmentContent, SavedVariable } from './model';
import { NamedValueFields } from './named-value-fields';
import { Notes } from './notes';
import { readEnvironment } from './read-content';
import { Rows } from './rows';
import styles from './saved.module.css';

interface EnvironmentFormProps {
  /** `null` for a new one. */
  environment: SavedEnvironment | null;
  /** Settles to why nothing was saved, or to `null`. */
  onSave: (content: EnvironmentContent) => Promise<string | null>;
  onDelete: () => void;
  onBack: () => void;
}

const NO_VARIABLE: SavedVariable = { name: '', value: '', secret: false };

/** The variables of an environment. */
export function EnvironmentForm({ environment, onSave, onDelete, onBack }: EnvironmentFormProps) {
  const [name, setName] = useState(environment?.content.name ?? '');
  const [variables, setVariables] = useState(environment?.content.variables ?? [NO_VARIABLE]);
  const [problem, setProblem] = useState<string | null>(null);

  const save = async () => {
    const notes = new Notes();
    const filled = variables.filter((one) => one.name !== '' || one.value !== '');
    const read = readEnvironment({ name: name.trim() || 'Environment', variables: filled }, notes);
    const [wrong] = notes.all();
    if (read === null || wrong !== undefined) {
      const { what, names } = wrong ?? { what: 'what cannot be saved', names: [] };
      setProblem(`There are ${what}${names.length === 0 ? '' : `: ${names.join(', ')}`}.`);
      return;
    }
    setProblem(await onSave(read));
  };
  return (
    <form
      aria-label="Environment"
      style={{ display: 'contents' }}
      noValidate
      onSubmit={(event: SubmitEvent) => {
        event.preventDefault();
        event.stopPropagation();
        void save();
      }}
    >
      <Field name="Name of the environment">
        {(id) => (
          <input
            id={id}
            className={panel.input}
            value={name}
            placeholder="staging"
            onChange={({ target }) => setName(target.value)}
          />
        )}
      </Field>
      <Rows
        title="Variables"
        note={
          <>
            <code>{'{{name}}'}</code> in an address or a message stands for its value. The value of
            a secret is not exported.
          </>
        }
        one="variable"
        items={variables}
        empty={NO_VARIABLE}
        onChange={setVariables}
      >
        {(variable, label, set) => (
          <NamedValueFields item={variable} label={label} onChange={set} />
        )}
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
        <button type="button" className={button.quiet} onClick={onBack}>
          Back
        </button>
        {environment !== null && (
          <button type="button" className={button.danger} onClick={onDelete}>
            Delete it
          </button>
        )}
      </p>
    </form>
  );
}
