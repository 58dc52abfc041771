import type { ReactNode } from 'react';

import styles from './load-form.module.css';
import { type FieldName, isAsked, type PlanForm } from './plan-form';
import { Problem, type TextField, type TextFieldProps } from './text-field-row';

interface ScenarioSettingsProps {
  form: PlanForm;
  scenarios: readonly string[];
  field: (name: TextField, label: string, more?: Partial<TextFieldProps>) => ReactNode;
  problem: string | null;
  onChange: (name: FieldName, value: string) => void;
}

/** Whose code says what users do: that of one of the server's scenarios, or none. */
export function ScenarioSettings(props: ScenarioSettingsProps) {
  const { form, scenarios, field, problem, onChange } = props;
  // One that was remembered may have gone since.
  const known = scenarios.includes(form.scenario) || form.scenario === '';
  const names = known ? scenarios : [form.scenario, ...scenarios];
  return (
    <div className={styles.pair}>
      <div className={styles.field}>
        <label className={styles.label}>
          Scenario
          <select
            className={styles.input}
            value={form.scenario}
            aria-invalid={problem !== null}
            onChange={({ target }) => {
              onChange('scenario', target.value);
            }}
          >
            <option value="">none</option>
            {names.map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
        {problem !== null && <Problem>{problem}</Problem>}
      </div>
      {isAsked('arrive', form) &&
        field('arrive', 'Users arrive', { placeholder: 'all at once', hint: 'such as 50/s' })}
    </div>
  );
}
