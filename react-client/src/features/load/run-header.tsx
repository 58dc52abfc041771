import { type SubmitEvent, useState } from 'react';

import aside from '../../components/aside-line.module.css';
import button from '../../components/button.module.css';
import { CopyButton } from '../../components/copy-button';
import panel from '../../components/panel.module.css';
import { Field } from '../../components/field';
import { formatDuration } from '../../lib/figures';
import { saveFile } from '../../lib/save-file';
import styles from './load-view.module.css';
import { formOfSettings, settingsOfPlan } from './plan-again';
import { commandOf } from './plan-command';
import type { PlanForm } from './plan-form';
import { describePlan, loadSecondsOf } from './plan-text';
import { secondsToCsv } from './run-files';
import type { RunFigures } from './run-figures';
import { fetchReportPage, type RunSummary } from './runs-client';

interface Words {
  readonly name: string;
  readonly note: string;
}

interface RunHeaderProps {
  run: RunSummary;
  figures: RunFigures | null;
  ownUrl: string | null;
  onCancel: () => Promise<string | null>;
  onAnnotate: (words: Words) => Promise<string | null>;
  /** Fills the form. */
  onPlan: (form: PlanForm) => void;
  /** Fills the form and starts the run; settles to what is wrong with it, or to `null`. */
  onAgain: (form: PlanForm) => Promise<string | null>;
}

/** What the run is, how it stands, and what can be done with it. */
export function RunHeader(props: RunHeaderProps) {
  const { run, figures, ownUrl, onCancel, onAnnotate, onPlan, onAgain } = props;
  const [problem, setProblem] = useState<string | null>(null);
  const [isEdited, setIsEdited] = useState(false);
  const report = figures?.report ?? null;
  const attempt = (what: () => Promise<string | null>) => {
    setProblem(null);
    what().then(setProblem, (error: unknown) => {
      setProblem(error instanceof Error ? error.message : String(error));
    });
  };
  const settings = () =>
    settingsOfPlan(report?.plan ?? run.plan, report?.thresholds.map(({ expr }) => expr) ?? []);
  const again = () => {
    const { form, left } = formOfSettings(settings(), ownUrl);
    const named = { ...form, name: run.name };
    if (left.length === 0) return onAgain(named);
    onPlan(named);
    const names = left.map((name) => name.replaceAll('_', ' ')).join(', ');
    return Promise.resolve(
      `The form is filled with its plan, but for what it has no field: ${names}. Start it from ` +
        'there, or run the command.',
    );
  };
  return (
    <header className={styles.header}>
      <div className={styles.heading}>
        <h2 className={styles.title}>
          {run.name === '' ? describePlan(run.plan) : <bdi>{run.name}</bdi>}
        </h2>
        {run.name !== '' && <p className={styles.phase}>{describePlan(run.plan)}</p>}
        <p className={styles.phase} role="status">
          {phaseOf(run, figures)}
        </p>
        {run.state === 'running' && <TimeLeft figures={figures} />}
        {run.note !== '' && !isEdited && <p className={styles.note}>{run.note}</p>}
      </div>
      <div className={styles.actions}>
        {isUnderWay(run) ? (
          <button
            type="button"
            className={button.danger}
            aria-disabled={run.state === 'cancelling'}
            onClick={() => {
              if (run.state === 'running') attempt(onCancel);
            }}
          >
            {run.state === 'cancelling' ? 'Closing…' : 'Cancel the run'}
          </button>
        ) : (
          <button type="button" className={button.smallQuiet} onClick={() => attempt(again)}>
            Run again
          </button>
        )}
        <button
          type="button"
          className={button.smallQuiet}
          aria-expanded={isEdited}
          onClick={() => setIsEdited(!isEdited)}
        >
          Name and note
        </button>
        {report !== null && run.hasPage && (
          <button
            type="button"
            className={button.smallQuiet}
            onClick={() => {
              attempt(async () => {
                saveFile(`run-${run.id}.html`, 'text/html', await fetchReportPage(run.id));
                return null;
              });
            }}
          >
            Save HTML
          </button>
        )}
        {report !== null && (
          <>
            <button
              type="button"
              className={button.smallQuiet}
              onClick={() => {
                const json = JSON.stringify(report, null, 2);
                saveFile(`run-${run.id}.json`, 'application/json', json);
              }}
            >
              Save JSON
            </button>
            <button
              type="button"
              className={button.smallQuiet}
              onClick={() => {
                saveFile(`run-${run.id}.csv`, 'text/csv', secondsToCsv(report.series));
              }}
            >
              Save CSV
            </button>
          </>
        )}
        <span className={aside.line}>
          As a command
          <CopyButton text={() => commandOf(settings(), ownUrl)} label="the run as a command" />
        </span>
      </div>
      {isEdited && (
        <WordsForm
          words={run}
          onSave={async (words) => {
            const whyNot = await onAnnotate(words);
            setProblem(whyNot);
            if (whyNot === null) setIsEdited(false);
          }}
        />
      )}
      {problem !== null && (
        <p className={styles.problem} role="alert">
          {problem}
        </p>
      )}
    </header>
  );
}

function WordsForm({ words, onSave }: { words: Words; onSave: (words: Words) => Promise<void> }) {
  const [name, setName] = useState(words.name);
  const [note, setNote] = useState(words.note);
  const save = (event: SubmitEvent) => {
    event.preventDefault();
    void onSave({ name, note });
  };
  return (
    <form className={styles.words} onSubmit={save} aria-label="Name and note">
      <Field name="Name">
        {(id) => (
          <input
            id={id}
            className={panel.input}
            maxLength={200}
            autoComplete="off"
            // One has just asked for it.
            // oxlint-disable-next-line jsx-a11y/no-autofocus
            autoFocus
            value={name}
            onChange={({ target }) => setName(target.value)}
          />
        )}
      </Field>
      <Field name="Note">
        {(id) => (
          <textarea
            id={id}
            className={panel.input}
            maxLength={4000}
            rows={2}
            value={note}
            onChange={({ target }) => setNote(target.value)}
          />
        )}
      </Field>
      <button type="submit" className={button.smallPrimary}>
        Save
      </button>
    </form>
  );
}

/** How much of the load is over, and how long the rest takes; nothing where that is not known. */
function TimeLeft({ figures }: { figures: RunFigures | null }) {
  const totalS = figures === null ? null : loadSecondsOf(figures.plan);
  const goneS = figures?.loadForS ?? null;
  if (totalS === null || goneS === null || figures?.phase !== 'load') return null;
  return (
    <p className={styles.left}>
      <progress aria-label="Of the load" value={Math.min(goneS, totalS)} max={totalS} />
      {formatDuration(Math.max(0, Math.ceil(totalS - goneS)))} left
    </p>
  );
}

export function isUnderWay({ state }: RunSummary): boolean {
  return state === 'running' || state === 'cancelling';
}

function phaseOf(run: RunSummary, figures: RunFigures | null): string {
  if (run.state === 'failed') return run.error ?? 'It left no report.';
  if (run.state === 'done')
    return figures === null ? 'Finished' : 'Finished: the report is complete';
  if (run.state === 'cancelling') return 'Cancelled: every open socket gets its close handshake';
  return PHASES[figures?.phase ?? ''] ?? 'Starting…';
}

const PHASES: Readonly<Record<string, string>> = {
  preflight: 'Looking whether this machine can do it',
  open: 'Opening the sockets',
  load: 'Under load',
  close: 'Closing the sockets',
};
