import { type ReactNode, type SubmitEvent, useId, useState } from 'react';

import button from '../../components/button.module.css';
import styles from './load-form.module.css';
import type { StartProblem } from './load-session';
import { type Drive, type FieldName, fieldOf, isAsked, type PlanForm, toBody } from './plan-form';
import { hintOf, settingOf } from './settings';

interface LoadFormProps {
  form: PlanForm;
  /** Whether one goes on: two would measure each other. */
  isBusy: boolean;
  /** Where a run goes that names no target. */
  ownUrl: string | null;
  onChange: (form: PlanForm) => void;
  onStart: (body: Readonly<Record<string, unknown>>) => Promise<StartProblem | null>;
}

const DRIVES: readonly { drive: Drive; caption: string }[] = [
  { drive: 'per-socket', caption: 'Open loop, each socket' },
  { drive: 'total', caption: 'Open loop, all together' },
  { drive: 'stages', caption: 'Stages' },
  { drive: 'closed-loop', caption: 'Closed loop' },
  { drive: 'idle', caption: 'Hold idle' },
];

/** Behind “More settings”. */
const RARE: readonly FieldName[] = [
  'messages',
  'size',
  'message',
  'connect_concurrency',
  'connect_rate',
  'connect_timeout',
  'stop_timeout',
  'lifetime',
  'workers',
  'seed',
];
/** Those that have no room for a problem of their own. */
const WITHOUT_ROOM: readonly FieldName[] = ['binary', 'compression', 'verify'];

/** The plan of a run. What is wrong with a setting is said at its field. */
export function LoadForm({ form, isBusy, ownUrl, onChange, onStart }: LoadFormProps) {
  const [problem, setProblem] = useState<StartProblem | null>(null);
  const [isStarting, setIsStarting] = useState(false);
  const [isMoreOpen, setIsMoreOpen] = useState(false);
  const problemField = placeOf(problem, form.drive);

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (isStarting || isBusy) return;
    setIsStarting(true);
    setProblem(null);
    void onStart(toBody(form)).then((found) => {
      setIsStarting(false);
      setProblem(found);
      // A problem at a field that is folded away would be none to see.
      const place = placeOf(found, form.drive);
      if (place !== null && RARE.includes(place)) setIsMoreOpen(true);
    });
  };
  const set = (name: FieldName, value: string | boolean) => {
    onChange({ ...form, [name]: value });
    if (problemField === name) setProblem(null);
  };
  const field = (name: TextField, label: string, more: Partial<TextFieldProps> = {}) => (
    <TextFieldRow
      name={name}
      label={label}
      help={settingOf(name)?.help}
      placeholder={settingOf(name)?.default}
      value={form[name]}
      problem={problemField === name ? (problem?.message ?? null) : null}
      onChange={(value) => {
        set(name, value);
      }}
      {...more}
    />
  );

  return (
    <form className={styles.form} onSubmit={submit} noValidate aria-label="Load run">
      <div className={styles.pair}>
        {field('count', 'Sockets', { hint: hintOf('count') })}
        {isAsked('duration', form.drive) &&
          field('duration', 'Duration', { hint: hintOf('duration') })}
      </div>
      {field('url', 'Target', { placeholder: ownUrl ?? 'this server' })}

      <fieldset className={styles.drives}>
        <legend className={styles.label}>Messages</legend>
        {DRIVES.map(({ drive, caption }) => (
          <label key={drive} className={styles.choice}>
            <input
              type="radio"
              name="drive"
              checked={form.drive === drive}
              onChange={() => {
                set('drive', drive);
              }}
            />
            {caption}
          </label>
        ))}
        {problemField === 'drive' && <Problem>{problem?.message}</Problem>}
      </fieldset>
      {isAsked('rate_per_conn', form.drive) && field('rate_per_conn', 'Rate of each socket')}
      {isAsked('rate', form.drive) && field('rate', 'Rate of all sockets')}
      {isAsked('think', form.drive) && field('think', 'Pause after a reply')}
      {isAsked('stage', form.drive) &&
        field('stage', 'Stages', { lines: 3, hint: 'duration:rate, one a line' })}
      {field('fail_if', 'Fail if', {
        lines: 2,
        placeholder: 'latency.p99>50ms',
        hint: 'one a line',
      })}

      <details
        className={styles.more}
        open={isMoreOpen}
        onToggle={({ currentTarget }) => {
          setIsMoreOpen(currentTarget.open);
        }}
      >
        <summary>More settings</summary>
        <div className={styles.pair}>
          {field('messages', 'Messages each', { placeholder: 'unbounded' })}
          {field('size', 'Size', { placeholder: '32 bytes', hint: hintOf('size') })}
        </div>
        {field('message', 'Message')}
        <div className={styles.pair}>
          <label className={styles.label} title={settingOf('verify')?.help}>
            Verify
            <select
              className={styles.input}
              value={form.verify}
              onChange={({ target }) => {
                set('verify', target.value);
              }}
            >
              <option value="suffix">with suffix</option>
              <option value="exact">exact echo</option>
              <option value="off">off</option>
            </select>
          </label>
          <span className={styles.checks}>
            <Check
              label="Binary"
              help={settingOf('binary')?.help}
              isChecked={form.binary}
              onChange={(value) => {
                set('binary', value);
              }}
            />
            <Check
              label="Compression"
              help={settingOf('compression')?.help}
              isChecked={form.compression}
              onChange={(value) => {
                set('compression', value);
              }}
            />
          </span>
        </div>
        <div className={styles.pair}>
          {field('connect_concurrency', 'Connecting at once')}
          {field('connect_rate', 'Connect rate', { placeholder: 'unlimited' })}
          {field('connect_timeout', 'Connect timeout')}
          {field('stop_timeout', 'Stop timeout')}
          {field('lifetime', 'Lifetime of a socket', { placeholder: 'the whole run' })}
          {field('workers', 'Processes')}
          {field('seed', 'Seed')}
        </div>
      </details>

      {problem !== null && problemField === null && <Problem>{problem.message}</Problem>}
      <button type="submit" className={button.primary} aria-disabled={isBusy || isStarting}>
        {isStarting ? 'Starting…' : isBusy ? 'A run goes on' : 'Start the run'}
      </button>
    </form>
  );
}

/** The field that shows a problem; `null` where none in sight does. */
function placeOf(problem: StartProblem | null, drive: Drive): FieldName | null {
  const field = fieldOf(problem?.field ?? null);
  const hasRoom = field !== null && isAsked(field, drive) && !WITHOUT_ROOM.includes(field);
  return hasRoom ? field : null;
}

type TextField = Exclude<FieldName, 'binary' | 'compression' | 'drive' | 'verify'>;

interface TextFieldProps {
  name: string;
  label: string;
  /** What it does, in a sentence; shown to who points at it. */
  help: string | undefined;
  value: string;
  problem: string | null;
  onChange: (value: string) => void;
  placeholder?: string | undefined;
  hint?: string | undefined;
  lines?: number;
}

function TextFieldRow(props: TextFieldProps) {
  const { name, label, help, value, problem, onChange, placeholder, hint, lines } = props;
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

interface CheckProps {
  label: string;
  help: string | undefined;
  isChecked: boolean;
  onChange: (value: boolean) => void;
}

function Check(props: CheckProps) {
  return (
    <label className={styles.choice} title={props.help}>
      <input
        type="checkbox"
        checked={props.isChecked}
        onChange={({ target }) => {
          props.onChange(target.checked);
        }}
      />
      {props.label}
    </label>
  );
}

function Problem({ id, children }: { id?: string; children: ReactNode }) {
  return (
    <p id={id} className={styles.problem} role="alert">
      {children}
    </p>
  );
}
