import { useRef, useState } from 'react';

import button from '../../components/button.module.css';
import { Field } from '../../components/field';
import { ModalDialog } from '../../components/modal-dialog';
import panel from '../../components/panel.module.css';
import { formatCount, formatDuration, formatPlural } from '../../lib/figures';
import type { SendPlan } from '../../lib/send-plan';
import { atSpeed, type ImportedLog, importLog } from './import-log';

interface ReplayDialogProps {
  /** Starts it, or says why not. */
  onStart: (plan: SendPlan) => string | null;
  onClose: () => void;
}

const SPEEDS = [
  { value: '1', name: 'As it was' },
  { value: '2', name: 'Twice as fast' },
  { value: '10', name: 'Ten times as fast' },
  { value: 'Infinity', name: 'All at once' },
] as const;

/** Sends again what an exported log has sent. */
export default function ReplayDialog({ onStart, onClose }: ReplayDialogProps) {
  const [log, setLog] = useState<ImportedLog | null>(null);
  const [speed, setSpeed] = useState('1');
  const [whyNot, setWhyNot] = useState<string | null>(null);

  /** A large file may be read only after a small one that was chosen later. */
  const chosen = useRef<File | undefined>(undefined);

  const read = async (file: File | undefined) => {
    chosen.current = file;
    setWhyNot(null);
    setLog(null);
    if (file === undefined) return;
    const found = await readLog(file);
    if (chosen.current === file) setLog(found);
  };
  const start = () => {
    if (log?.ok !== true) return;
    const refusal = onStart({ kind: 'replay', messages: atSpeed(log.sent, Number(speed)) });
    setWhyNot(refusal);
    if (refusal === null) onClose();
  };
  const problem = log?.ok === false ? log.problem : whyNot;

  return (
    <ModalDialog title="Replay an export" onClose={onClose}>
      <p className={panel.note}>
        Sends the messages of an exported log again, over the connection that is open now. What was
        received then is left aside.
      </p>
      <Field name="Export, NDJSON or CSV">
        {(id) => (
          <input
            id={id}
            className={panel.input}
            type="file"
            accept=".ndjson,.jsonl,.csv"
            onChange={({ target }) => void read(target.files?.[0])}
          />
        )}
      </Field>
      <Field name="Timing">
        {(id) => (
          <select
            id={id}
            className={panel.input}
            value={speed}
            onChange={({ target }) => setSpeed(target.value)}
          >
            {SPEEDS.map(({ value, name }) => (
              <option key={value} value={value}>
                {name}
              </option>
            ))}
          </select>
        )}
      </Field>
      <p className={problem === null ? panel.note : panel.problem} role="status">
        {problem ?? (log?.ok === true ? describe(log, Number(speed)) : '')}
      </p>
      <p>
        <button
          type="button"
          className={button.primary}
          aria-disabled={log?.ok !== true}
          onClick={start}
        >
          Start
        </button>
      </p>
    </ModalDialog>
  );
}

async function readLog(file: File): Promise<ImportedLog> {
  try {
    return importLog(await file.text());
  } catch {
    return { ok: false, problem: `${file.name} cannot be read.` };
  }
}

function describe({ sent, others }: ImportedLog & { ok: true }, speed: number): string {
  const lastMs = (sent.at(-1)?.afterMs ?? 0) / speed;
  const messages = formatPlural(sent.length, 'message', 'messages');
  const left = others === 0 ? '' : ` ${formatCount(others)} other lines are left aside.`;
  return `${messages} over ${formatDuration(lastMs / 1000)}.${left}`;
}
