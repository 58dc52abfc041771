import { useState } from 'react';

import button from '../../components/button.module.css';
import { Field } from '../../components/field';
import panel from '../../components/panel.module.css';
import { readRepeat, type RepeatFields } from './repeat-fields';

interface RepeatPanelProps {
  /** Settles to why nothing was started, or to `null`. */
  onStart: (pace: { intervalMs: number; count: number | null }) => Promise<string | null>;
}

/** Sends the message in the composer again and again. */
export function RepeatPanel({ onStart }: RepeatPanelProps) {
  const [fields, setFields] = useState<RepeatFields>({ amount: '10', unit: 'rate', times: '' });
  const [problem, setProblem] = useState<string | null>(null);

  const change = (changed: Partial<RepeatFields>) => {
    setFields({ ...fields, ...changed });
    setProblem(null);
  };
  return (
    <form
      aria-label="Repeat"
      style={{ display: 'contents' }}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        event.stopPropagation();
        const pace = readRepeat(fields);
        if (pace.ok) void onStart(pace).then(setProblem);
        else setProblem(pace.problem);
      }}
    >
      <h3 className={panel.title}>Send again and again</h3>
      <div className={panel.row}>
        <Field name="How often">
          {(id) => (
            <input
              id={id}
              className={panel.input}
              inputMode="decimal"
              value={fields.amount}
              onChange={({ target }) => change({ amount: target.value })}
            />
          )}
        </Field>
        <Field name="Unit">
          {(id) => (
            <select
              id={id}
              className={panel.input}
              value={fields.unit}
              onChange={({ target }) =>
                change({ unit: target.value === 'interval' ? 'interval' : 'rate' })
              }
            >
              <option value="rate">a second</option>
              <option value="interval">ms apart</option>
            </select>
          )}
        </Field>
        <Field name="Times">
          {(id) => (
            <input
              id={id}
              className={panel.input}
              inputMode="numeric"
              placeholder="no end"
              value={fields.times}
              onChange={({ target }) => change({ times: target.value })}
            />
          )}
        </Field>
      </div>
      <p className={problem === null ? panel.note : panel.problem} role="status">
        {problem ?? (
          <>
            <code>{'{seq}'}</code> in a text becomes 1, 2, 3 … The pace does not wait for replies.
          </>
        )}
      </p>
      <p>
        <button type="submit" className={button.smallPrimary}>
          Start
        </button>
      </p>
    </form>
  );
}
