import type { ReactNode } from 'react';

import styles from './load-form.module.css';
import { type FieldName, isAsked, type PlanForm } from './plan-form';
import type { TextField, TextFieldProps } from './text-field-row';

interface ReplySettingsProps {
  form: PlanForm;
  field: (name: TextField, label: string, more?: Partial<TextFieldProps>) => ReactNode;
  onChange: (name: FieldName, value: string) => void;
}

const RULES: readonly { rule: PlanForm['verify']; caption: string }[] = [
  { rule: 'suffix', caption: 'the message and a suffix' },
  { rule: 'exact', caption: 'the message, exactly' },
  { rule: 'json', caption: 'by a JSON field' },
  { rule: 'regex', caption: 'by a regular expression' },
  { rule: 'turn', caption: 'in turn: the n-th answers the n-th' },
  { rule: 'fan-out', caption: 'a copy to all of a room' },
  { rule: 'off', caption: 'off: frames are only counted' },
];

/** How a reply finds its message, and what is no reply at all. */
export function ReplySettings({ form, field, onChange }: ReplySettingsProps) {
  return (
    <>
      <label className={styles.label}>
        Verify
        <select
          className={styles.input}
          value={form.verify}
          onChange={({ target }) => {
            onChange('verify', target.value);
          }}
        >
          {RULES.map(({ rule, caption }) => (
            <option key={rule} value={rule}>
              {caption}
            </option>
          ))}
        </select>
      </label>
      {isAsked('json_path', form) &&
        field('json_path', 'JSON field', { hint: 'such as params.0.id, or id=replyTo' })}
      {isAsked('pattern', form) && field('pattern', 'Pattern', { placeholder: String.raw`#(\d+)` })}
      {isAsked('rooms', form) &&
        field('rooms', 'Rooms', { placeholder: '1', hint: '{room} in target and message' })}
      {field('expect', 'Expect first', {
        lines: 2,
        placeholder: 'json:type=welcome',
        hint: 'what the server says by itself',
      })}
      {field('ignore', 'Ignore', {
        lines: 2,
        placeholder: 'json:type=tick',
        hint: 'frames that are no replies',
      })}
    </>
  );
}
