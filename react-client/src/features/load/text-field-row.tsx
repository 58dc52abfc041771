import { type ReactNode, useId } from 'react';

import { afterPress } from '../../lib/after-press';
import styles from './load-form.module.css';
import type { FieldName } from './plan-form';

export type TextField = Exclude<
  FieldName,
  'binary' | 'compression' | 'drive' | 'verify' | 'arrivals' | 'scenario'
>;

export interface TextFieldProps {
  name: string;
  label: string;
  /** What it does, in a sentence; shown to who points at it. */
  help: string | undefined;
  value: string;
  problem: string | null;
  onChange: (value: string) => void;
  /** One has gone on to the next. */
  onLeave: () => void;
  placeholder?: string | undefined;
  hint?: string | undefined;
  lines?: number;
}

/** One setting of a plan as text, with what is wrong with it below. */
export function TextFieldRow(props: TextFieldProps) {
  const { name, label, help, value, problem, onChange, onLeave, placeholder, hint, lines } = props;
  const problemId = useId();
  const shared = {
    name,
    className: styles.input,
    value,
    placeholder,
    autoComplete: 'off',
    spellCheck: false,
    'aria-invalid': problem !== null,
    'aria-describedby': problem === null ? undefined : problemId,
    onChange: ({ target }: { target: { value: string } }) => {
      onChange(target.value);
    },
    onBlur: () => afterPress(onLeave),
  };
  return (
    <div className={styles.field}>
      <label className={styles.label} title={help}>
        <span>
          {label}
          {hint !== undefined && <span className={styles.hint}> {hint}</span>}
        </span>
        {lines === undefined ? (
          <input type="text" {...shared} />
        ) : (
          <textarea rows={lines} {...shared} />
        )}
      </label>
      {problem !== null && <Problem id={problemId}>{problem}</Problem>}
    </div>
  );
}

/** What is wrong, said at once. */
export function Problem({ id, children }: { id?: string; children: ReactNode }) {
  return (
    <p id={id} className={styles.problem} role="alert">
      {children}
    </p>
  );
}
