import panel from '../../components/panel.module.css';
import { MODES, type Mode, type SavedMessage } from './model';
import styles from './saved.module.css';

interface MessageEditorProps {
  /** What the message is for, such as “Message 2”. */
  label: string;
  message: SavedMessage;
  hasName?: boolean;
  onChange: (message: SavedMessage) => void;
}

const CAPTIONS: Readonly<Record<Mode, string>> = { text: 'Text', json: 'JSON', binary: 'Binary' };

/** A message of a saved connection: its name, type and text. */
export function MessageEditor({ label, message, hasName = false, onChange }: MessageEditorProps) {
  return (
    <div className={styles.message}>
      {hasName && (
        <input
          className={`${panel.input ?? ''} ${styles.grow ?? ''}`}
          aria-label={`${label}: name`}
          placeholder="Name (optional)"
          value={message.name}
          onChange={({ target }) => onChange({ ...message, name: target.value })}
        />
      )}
      <select
        className={`${panel.input ?? ''} ${styles.mode ?? ''}`}
        aria-label={`${label}: type`}
        value={message.mode}
        onChange={({ target }) => {
          const mode = MODES.find((one) => one === target.value) ?? 'text';
          onChange({ ...message, mode });
        }}
      >
        {MODES.map((mode) => (
          <option key={mode} value={mode}>
            {CAPTIONS[mode]}
          </option>
        ))}
      </select>
      <textarea
        className={`${panel.input ?? ''} ${panel.code ?? ''} ${styles.area ?? ''}`}
        rows={1}
        aria-label={`${label}: ${message.mode === 'binary' ? 'hex digits' : 'text'}`}
        spellCheck={false}
        value={message.text}
        onChange={({ target }) => onChange({ ...message, text: target.value })}
      />
    </div>
  );
}
