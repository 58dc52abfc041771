import { saveFile } from '../lib/save-file';
import aside from './aside-line.module.css';
import button from './button.module.css';
import { CopyButton } from './copy-button';
import { ModalDialog } from './modal-dialog';
import panel from './panel.module.css';
import styles from './scenario-dialog.module.css';

interface ScenarioDialogProps {
  /** A file of Python, or why there is none. */
  scenario: Scenario | string;
  onClose: () => void;
}

export interface Scenario {
  readonly fileName: string;
  readonly script: string;
  /** How it is run, in a line each. */
  readonly commands: readonly string[];
  /** What else has to be beside it. */
  readonly rows?: { readonly fileName: string; readonly text: string };
  /** What the script does not do as the original did, in a sentence each. */
  readonly notes?: readonly string[];
}

/** What one has here, as a script of the generator: to look at, to copy, to save. */
export default function ScenarioDialog({ scenario, onClose }: ScenarioDialogProps) {
  return (
    <ModalDialog title="As a scenario" onClose={onClose}>
      {typeof scenario === 'string' ? (
        <p className={panel.problem}>{scenario}</p>
      ) : (
        <Script {...scenario} />
      )}
    </ModalDialog>
  );
}

function Script({ fileName, script, commands, rows, notes = [] }: Scenario) {
  return (
    <>
      <p className={panel.note}>
        One user in Python, for the load generator: change it as you like.{' '}
        {notes.map((note) => `${note} `)}
      </p>
      {/* A region that scrolls has to be reachable by keyboard. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <pre className={styles.script} role="region" aria-label="The script" tabIndex={0}>
        {script}
      </pre>
      <p className={styles.actions}>
        <button
          type="button"
          className={button.primary}
          onClick={() => saveFile(fileName, 'text/x-python', script)}
        >
          Save {fileName}
        </button>
        {rows !== undefined && (
          <button
            type="button"
            className={button.quiet}
            onClick={() => saveFile(rows.fileName, 'text/csv', rows.text)}
          >
            Save {rows.fileName}
          </button>
        )}
        <span className={aside.line}>
          Copy it
          <CopyButton text={() => script} label="the script" />
        </span>
      </p>
      {commands.map((command) => (
        <p key={command} className={styles.command}>
          <code>{command}</code>
          <CopyButton text={() => command} label="the command" />
        </p>
      ))}
    </>
  );
}
