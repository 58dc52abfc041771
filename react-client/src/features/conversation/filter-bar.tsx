import { useId } from 'react';

import panel from '../../components/panel.module.css';
import hidden from '../../components/visually-hidden.module.css';
import { usePartName } from '../../lib/part-name';
import styles from './filter-bar.module.css';
import type { LogFilter } from './log-filter';

interface FilterBarProps {
  filter: LogFilter;
  /** What is wrong with the expression, or `null`. */
  problem: string | null;
  onChange: (filter: LogFilter) => void;
  onClose: () => void;
}

/** Which messages to show. */
export function FilterBar({ filter, problem, onChange, onClose }: FilterBarProps) {
  const textId = useId();
  const problemId = useId();
  return (
    <search className={styles.filter} aria-label={usePartName('Filter')}>
      <div className={styles.fields}>
        <label htmlFor={textId} className={hidden.hidden}>
          Find in messages
        </label>
        <input
          id={textId}
          // It has just been asked for, and there is nothing else to do in it.
          // eslint-disable-next-line jsx-a11y/no-autofocus
          autoFocus
          type="search"
          className={`${panel.input ?? ''} ${styles.text ?? ''}`}
          placeholder={filter.isRegex ? 'Regular expression' : 'Find in messages'}
          value={filter.text}
          spellCheck={false}
          autoComplete="off"
          aria-invalid={problem !== null}
          aria-describedby={problem === null ? undefined : problemId}
          onKeyDown={({ key }) => {
            if (key === 'Escape') onClose();
          }}
          onChange={({ target }) => {
            onChange({ ...filter, text: target.value });
          }}
        />
        <label className={styles.regex} title="Regular expression">
          <input
            type="checkbox"
            checked={filter.isRegex}
            aria-label="Regular expression"
            onChange={({ target }) => {
              onChange({ ...filter, isRegex: target.checked });
            }}
          />
          <code aria-hidden="true">.*</code>
        </label>
        <Choice
          name="Direction"
          value={filter.direction}
          options={DIRECTIONS}
          onChange={(direction) => {
            onChange({ ...filter, direction });
          }}
        />
        <Choice
          name="Type"
          value={filter.type}
          options={TYPES}
          onChange={(type) => {
            onChange({ ...filter, type });
          }}
        />
      </div>
      {problem !== null && (
        <p id={problemId} className={panel.problem} role="alert">
          {problem}
        </p>
      )}
    </search>
  );
}

const DIRECTIONS = { both: 'Both ways', sent: 'Sent', received: 'Received' } as const;
const TYPES = { any: 'Any type', text: 'Text', json: 'JSON', binary: 'Binary' } as const;

function Choice<Value extends string>(props: {
  name: string;
  value: Value;
  options: Readonly<Record<Value, string>>;
  onChange: (value: Value) => void;
}) {
  const { name, value, options, onChange } = props;
  return (
    <select
      aria-label={name}
      className={`${panel.input ?? ''} ${styles.choice ?? ''}`}
      value={value}
      onChange={({ target }) => {
        onChange(target.value as Value);
      }}
    >
      {Object.entries<string>(options).map(([option, caption]) => (
        <option key={option} value={option}>
          {caption}
        </option>
      ))}
    </select>
  );
}
