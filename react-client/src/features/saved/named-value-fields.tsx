import panel from '../../components/panel.module.css';
import type { SavedHeader, SavedVariable } from './model';
import styles from './saved.module.css';

interface NamedValueFieldsProps {
  item: SavedHeader | SavedVariable;
  /** What the fields are called, before ": name" and ": value". */
  label: string;
  onChange: (item: SavedHeader | SavedVariable) => void;
}

/** A name, its value, and whether that is a secret: a header or a variable. */
export function NamedValueFields({ item, label, onChange }: NamedValueFieldsProps) {
  return (
    <div className={styles.message}>
      <input
        className={`${panel.input ?? ''} ${panel.code ?? ''} ${styles.narrow ?? ''}`}
        aria-label={`${label}: name`}
        placeholder="Name"
        autoCapitalize="off"
        spellCheck={false}
        value={item.name}
        onChange={({ target }) => onChange({ ...item, name: target.value })}
      />
      <input
        className={`${panel.input ?? ''} ${panel.code ?? ''} ${styles.grow ?? ''}`}
        aria-label={`${label}: value`}
        placeholder="Value"
        type={item.secret ? 'password' : 'text'}
        autoComplete="off"
        spellCheck={false}
        value={item.value}
        onChange={({ target }) => onChange({ ...item, value: target.value })}
      />
      <label className={panel.choice}>
        <input
          type="checkbox"
          checked={item.secret}
          onChange={({ target }) => onChange({ ...item, secret: target.checked })}
        />
        <span>Secret</span>
      </label>
    </div>
  );
}
