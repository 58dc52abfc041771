import { useId } from 'react';

import panel from '../../components/panel.module.css';
import hidden from '../../components/visually-hidden.module.css';
import { usePartName } from '../../lib/part-name';
import styles from './filter-bar.module.css';
import type { LogFilter } from './log-filter';

interface FilterBarProps {
  filter: LogFilter;
  /** What is wrong with it, and in which field; or `null`. */
  problem: { readonly problem: string; readonly field: 'text' | 'value' } | null;
  onChange: (filter: LogFilter) => void;
  /** The path of the value that stands beside each message. */
  column: string;
  columnProblem: string | null;
  onColumn: (path: string) => void;
  onClose: () => void;
}

/** Which messages to show. */
export function FilterBar(props: FilterBarProps) {
  const { filter, onChange, onClose, column, columnProblem, onColumn } = props;
  const textId = useId();
  const problemId = useId();
  const problem = props.problem?.field === 'text' ? props.problem.problem : null;
  const valueProblem = props.problem?.field === 'value' ? props.problem.problem : null;
  return (
    <search className={styles.filter} aria-label={usePartName('Filter')}>
      <div className={styles.rows}>
        <div className={styles.fields}>
          <label htmlFor={textId} className={hidden.hidden}>
            Find in messages
          </label>
          <input
            id={textId}
            // It has just been asked for, and there is nothing else to do in it.
            // oxlint-disable-next-line jsx-a11y/no-autofocus
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
        <div className={styles.fields}>
          <PathField
            name="Value"
            placeholder='$.type == "tick"'
            value={filter.value}
            problem={valueProblem}
            onChange={(value) => {
              onChange({ ...filter, value });
            }}
            onClose={onClose}
          />
          <PathField
            name="Column"
            placeholder="$.id"
            value={column}
            problem={columnProblem}
            onChange={onColumn}
            onClose={onClose}
          />
        </div>
      </div>
      {problem !== null && (
        <p id={problemId} className={panel.problem} role="alert">
          {problem}
        </p>
      )}
    </search>
  );
}

interface PathFieldProps {
  name: string;
  placeholder: string;
  value: string;
  problem: string | null;
  onChange: (value: string) => void;
  onClose: () => void;
}

function PathField({ name, placeholder, value, problem, onChange, onClose }: PathFieldProps) {
  const id = useId();
  return (
    <div className={styles.path}>
      <label htmlFor={id} className={panel.name}>
        {name}
      </label>
      <input
        id={id}
        className={`${panel.input ?? ''} ${panel.code ?? ''} ${styles.text ?? ''}`}
        placeholder={placeholder}
        value={value}
        spellCheck={false}
        autoCapitalize="off"
        autoComplete="off"
        aria-invalid={problem !== null}
        aria-describedby={problem === null ? undefined : `${id}-problem`}
        onKeyDown={({ key }) => {
          if (key === 'Escape') onClose();
        }}
        onChange={({ target }) => {
          onChange(target.value);
        }}
      />
      {problem !== null && (
        <p id={`${id}-problem`} className={panel.problem} role="alert">
          {problem}
        </p>
      )}
    </div>
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
