import { type SubmitEvent, useRef, useState } from 'react';

import button from '../../components/button.module.css';
import { CopyButton } from '../../components/copy-button';
import { OpenedPart } from '../../components/opened-part';
import type { Scenario } from '../../components/scenario-dialog';
import { lazyModule, lazyPart } from '../../lib/lazy-part';
import styles from './load-form.module.css';
import type { StartProblem } from './load-session';
import { checkPlan } from './plan-checks';
import { commandOf } from './plan-command';
import { type Drive, type FieldName, fieldOf, isAsked, type PlanForm, toBody } from './plan-form';
import { hintOf, settingOf } from './settings';
import { ReplySettings } from './reply-settings';
import { ScenarioSettings } from './scenario-settings';
import { Problem, type TextField, type TextFieldProps, TextFieldRow } from './text-field-row';

const ScenarioDialog = lazyPart(() => import('../../components/scenario-dialog'));
const planScenario = lazyModule(() => import('./plan-scenario'));

interface LoadFormProps {
  form: PlanForm;
  /** Whether one goes on: two would measure each other. */
  isBusy: boolean;
  /** Those that runs may have. */
  scenarios: readonly string[];
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
const WITHOUT_ROOM: readonly FieldName[] = ['binary', 'compression', 'verify', 'arrivals'];
/** Behind “Replies”. */
const OF_REPLIES: readonly FieldName[] = ['json_path', 'pattern', 'rooms', 'expect', 'ignore'];

/** The plan of a run. What is wrong with a setting is said at its field. */
export function LoadForm(props: LoadFormProps) {
  const { form, isBusy, scenarios, ownUrl, onChange, onStart } = props;
  const [problem, setProblem] = useState<StartProblem | null>(null);
  const [isStarting, setIsStarting] = useState(false);
  /** As which the plan is shown, or why it can't be. */
  const [scenario, setScenario] = useState<Scenario | string | null>(null);
  const [isMoreOpen, setIsMoreOpen] = useState(false);
  const [areRepliesOpen, setAreRepliesOpen] = useState(false);
  /** Those that one has been at: what is wrong with the others is not said while one is on the way. */
  const [left, setLeft] = useState<ReadonlySet<FieldName>>(new Set());
  const [isChecked, setIsChecked] = useState(false);
  const element = useRef<HTMLFormElement>(null);
  const isScenario = form.scenario !== '';
  const wrong = checkPlan(form);
  const problemField = placeOf(problem, form);

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    if (isStarting || isBusy) return;
    const places = Object.keys(wrong) as FieldName[];
    setIsChecked(places.length > 0);
    if (places.length > 0) {
      places.forEach(unfold);
      // Once it is unfolded.
      requestAnimationFrame(() => {
        element.current?.querySelector<HTMLElement>('[aria-invalid=true]')?.focus();
      });
      return;
    }
    setIsStarting(true);
    setProblem(null);
    void onStart(toBody(form)).then((found) => {
      setIsStarting(false);
      setProblem(found);
      // A problem at a field that is folded away would be none to see.
      const place = placeOf(found, form);
      if (place !== null) unfold(place);
    });
  };
  const unfold = (place: FieldName) => {
    if (RARE.includes(place)) setIsMoreOpen(true);
    if (OF_REPLIES.includes(place)) setAreRepliesOpen(true);
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
      problem={
        problemField === name
          ? (problem?.message ?? null)
          : isChecked || left.has(name)
            ? (wrong[name] ?? null)
            : null
      }
      onChange={(value) => {
        set(name, value);
      }}
      onLeave={() => {
        setLeft((before) => (before.has(name) ? before : new Set([...before, name])));
      }}
      {...more}
    />
  );

  return (
    <form ref={element} className={styles.form} onSubmit={submit} noValidate aria-label="Load run">
      <div className={styles.pair}>
        {field('count', isScenario ? 'Users' : 'Sockets', { hint: hintOf('count') })}
        {isAsked('duration', form) && field('duration', 'Duration', { hint: hintOf('duration') })}
      </div>
      {field('url', 'Target', { placeholder: ownUrl ?? 'this server' })}
      {field('name', 'Name', { hint: 'of the run', placeholder: 'none' })}

      {(scenarios.length > 0 || isScenario) && (
        <ScenarioSettings
          form={form}
          scenarios={scenarios}
          field={field}
          problem={problemField === 'scenario' ? (problem?.message ?? null) : null}
          onChange={set}
        />
      )}

      {!isScenario && (
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
      )}
      {isAsked('rate_per_conn', form) && field('rate_per_conn', 'Rate of each socket')}
      {isAsked('rate', form) && field('rate', 'Rate of all sockets')}
      {isAsked('think', form) && field('think', 'Pause after a reply')}
      {isAsked('stage', form) &&
        field('stage', 'Stages', { lines: 3, hint: 'duration:rate, one a line' })}
      {field('fail_if', 'Fail if', {
        lines: 2,
        placeholder: 'latency.p99>50ms',
        hint: 'one a line',
      })}

      {!isScenario && (
        <details
          className={styles.more}
          open={areRepliesOpen}
          onToggle={({ currentTarget }) => {
            setAreRepliesOpen(currentTarget.open);
          }}
        >
          <summary>Replies</summary>
          <ReplySettings form={form} field={field} onChange={set} />
        </details>
      )}

      <details
        className={styles.more}
        open={isMoreOpen}
        onToggle={({ currentTarget }) => {
          setIsMoreOpen(currentTarget.open);
        }}
      >
        <summary>More settings</summary>
        {!isScenario && (
          <>
            <div className={styles.pair}>
              {field('messages', 'Messages each', { placeholder: 'unbounded' })}
              {field('size', 'Size', { placeholder: '32 bytes', hint: hintOf('size') })}
            </div>
            {field('message', 'Message', { placeholder: '{conn}-{seq}' })}
          </>
        )}
        <div className={styles.pair}>
          {isAsked('arrivals', form) && (
            <label className={styles.label}>
              Arrivals
              <select
                className={styles.input}
                value={form.arrivals}
                onChange={({ target }) => {
                  set('arrivals', target.value);
                }}
              >
                <option value="even">even</option>
                <option value="poisson">at random</option>
              </select>
            </label>
          )}
          <span className={styles.checks}>
            {!isScenario && (
              <Check
                label="Binary"
                help={settingOf('binary')?.help}
                isChecked={form.binary}
                onChange={(value) => {
                  set('binary', value);
                }}
              />
            )}
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
          {!isScenario &&
            field('lifetime', 'Lifetime of a socket', { placeholder: 'the whole run' })}
          {field('workers', 'Processes')}
          {field('seed', 'Seed')}
        </div>
      </details>

      {problem !== null && problemField === null && <Problem>{problem.message}</Problem>}
      <button type="submit" className={button.primary} aria-disabled={isBusy || isStarting}>
        {isStarting ? 'Starting…' : isBusy ? 'A run goes on' : 'Start the run'}
      </button>
      <p className={styles.command}>
        The same in a terminal
        <CopyButton text={() => commandOf(toBody(form), ownUrl)} label="the command" />
        <button
          type="button"
          className={button.smallQuiet}
          onClick={() => {
            void planScenario().then(({ scenarioOfPlan }) => {
              setScenario(scenarioOfPlan(form, ownUrl));
            });
          }}
        >
          As a scenario
        </button>
      </p>
      {scenario !== null && (
        <OpenedPart name="The scenario" onClose={() => setScenario(null)}>
          <ScenarioDialog scenario={scenario} onClose={() => setScenario(null)} />
        </OpenedPart>
      )}
    </form>
  );
}

/** The field that shows a problem; `null` where none in sight does. */
function placeOf(problem: StartProblem | null, form: PlanForm): FieldName | null {
  const field = fieldOf(problem?.field ?? null, form.verify);
  const hasRoom = field !== null && isAsked(field, form) && !WITHOUT_ROOM.includes(field);
  return hasRoom ? field : null;
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
