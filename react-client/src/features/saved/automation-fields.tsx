import { Field } from '../../components/field';
import panel from '../../components/panel.module.css';
import {
  compilePattern,
  type Pattern,
  PATTERN_KINDS,
  type PatternKind,
} from '../../lib/automation';
import type { AutomationDraft } from './connection-draft';
import { MessageEditor } from './message-editor';
import type { SavedMessage, SavedRule } from './model';
import { Rows } from './rows';
import styles from './saved.module.css';

interface AutomationFieldsProps {
  automation: AutomationDraft;
  onChange: (automation: AutomationDraft) => void;
}

const NO_MESSAGE: SavedMessage = { name: '', mode: 'text', text: '' };
const NO_RULE: SavedRule = { when: { kind: 'contains', text: '' }, send: NO_MESSAGE };
const DEFAULT_SECONDS = '30';

const KINDS: Readonly<Record<PatternKind, string>> = {
  contains: 'contains',
  equals: 'is',
  json: 'is JSON with',
  regex: 'matches',
  any: 'is any text',
};

/** What a connection sends by itself. */
export function AutomationFields({ automation, onChange }: AutomationFieldsProps) {
  const { heartbeat } = automation;
  const change = (changed: Partial<AutomationDraft>) => {
    onChange({ ...automation, ...changed });
  };
  return (
    <>
      <fieldset className={styles.group}>
        <legend>Sent by itself</legend>
        <label className={panel.choice}>
          <input
            type="checkbox"
            checked={automation.on}
            onChange={({ target }) => change({ on: target.checked })}
          />
          <span>Send what follows, from the next connecting on</span>
        </label>
      </fieldset>
      <Rows
        title="On opening"
        one="first message"
        items={automation.onOpen}
        empty={NO_MESSAGE}
        onChange={(onOpen) => change({ onOpen })}
      >
        {(message, label, set) => <MessageEditor label={label} message={message} onChange={set} />}
      </Rows>
      <fieldset className={styles.group}>
        <legend>Heartbeat</legend>
        <label className={panel.choice}>
          <input
            type="checkbox"
            checked={heartbeat !== null}
            onChange={({ target }) => {
              const begun = { everySeconds: DEFAULT_SECONDS, message: NO_MESSAGE };
              change({ heartbeat: target.checked ? begun : null });
            }}
          />
          <span>Send a message again and again, also while you look at another tab</span>
        </label>
        {heartbeat !== null && (
          <div className={styles.beat}>
            <Field name="Every … seconds">
              {(id) => (
                <input
                  id={id}
                  className={`${panel.input ?? ''} ${styles.mode ?? ''}`}
                  inputMode="decimal"
                  value={heartbeat.everySeconds}
                  onChange={({ target }) =>
                    change({ heartbeat: { ...heartbeat, everySeconds: target.value } })
                  }
                />
              )}
            </Field>
            <MessageEditor
              label="Heartbeat"
              message={heartbeat.message}
              onChange={(message) => change({ heartbeat: { ...heartbeat, message } })}
            />
          </div>
        )}
      </fieldset>
      <Rows
        title="Reply rules"
        note="An echo of a rule’s own message is not answered, and a rule that looks like one end of a loop is stopped."
        one="reply rule"
        items={automation.rules}
        empty={NO_RULE}
        onChange={(rules) => change({ rules })}
      >
        {(rule, label, set) => (
          <div className={styles.message}>
            <PatternFields
              label={label}
              pattern={rule.when}
              onChange={(when) => set({ ...rule, when })}
            />
            <span className={styles.about}>send</span>
            <MessageEditor
              label={`${label} sends`}
              message={rule.send}
              onChange={(send) => set({ ...rule, send })}
            />
          </div>
        )}
      </Rows>
    </>
  );
}

function PatternFields(props: {
  label: string;
  pattern: Pattern;
  onChange: (pattern: Pattern) => void;
}) {
  const { label, pattern, onChange } = props;
  const compiled = compilePattern(pattern);
  return (
    <>
      <span className={styles.about}>When what is received</span>
      <select
        className={`${panel.input ?? ''} ${styles.mode ?? ''}`}
        aria-label={`${label}: how it is matched`}
        value={pattern.kind}
        onChange={({ target }) => {
          const kind = PATTERN_KINDS.find((one) => one === target.value) ?? 'contains';
          onChange({ ...pattern, kind });
        }}
      >
        {PATTERN_KINDS.map((kind) => (
          <option key={kind} value={kind}>
            {KINDS[kind]}
          </option>
        ))}
      </select>
      {pattern.kind !== 'any' && (
        <input
          className={`${panel.input ?? ''} ${panel.code ?? ''} ${styles.grow ?? ''}`}
          aria-label={`${label}: what is looked for`}
          placeholder={PLACEHOLDERS[pattern.kind]}
          spellCheck={false}
          value={pattern.text}
          aria-invalid={pattern.text !== '' && !compiled.ok}
          onChange={({ target }) => onChange({ ...pattern, text: target.value })}
        />
      )}
      {pattern.text !== '' && !compiled.ok && <p className={panel.problem}>{compiled.problem}</p>}
    </>
  );
}

const PLACEHOLDERS = {
  contains: 'ping',
  equals: 'ping',
  json: 'type=ping',
  regex: '^ping \\d+$',
} as const;
