import { useState } from 'react';

import { ModalDialog } from '../components/modal-dialog';
import { areShortcutsOn, type Shortcut, turnShortcuts } from './shortcuts';
import styles from './shortcuts-dialog.module.css';

interface ShortcutsDialogProps {
  shortcuts: readonly Shortcut[];
  onClose: () => void;
}

/** Those that belong to a field, and work there. */
const IN_FIELDS = [
  { keys: ['Enter'], does: 'Message: send' },
  { keys: ['Shift', 'Enter'], does: 'Message: start a line' },
  { keys: ['↑', '↓'], does: 'Message: those sent before' },
  { keys: ['↑', '↓'], does: 'A message’s details: the one above, below' },
  { keys: ['Enter'], does: 'Load form: start the run' },
  { keys: ['←', '→'], does: 'On the tabs: the view beside' },
  { keys: ['Esc'], does: 'Close this' },
];

/** Every key that does something, listed. */
export default function ShortcutsDialog({ shortcuts, onClose }: ShortcutsDialogProps) {
  const [isOn, setIsOn] = useState(areShortcutsOn);
  return (
    <ModalDialog title="Keyboard shortcuts" size="small" onClose={onClose}>
      <dl className={styles.list} data-off={!isOn}>
        {shortcuts.map(({ key, does }) => (
          <Row key={key} keys={[key]} does={does} />
        ))}
      </dl>
      <label className={styles.switch}>
        <input
          type="checkbox"
          checked={isOn}
          onChange={({ target }) => {
            turnShortcuts(target.checked);
            setIsOn(target.checked);
          }}
        />
        Single keys work outside of fields
      </label>
      <dl className={styles.list}>
        {IN_FIELDS.map(({ keys, does }) => (
          <Row key={does} keys={keys} does={does} />
        ))}
      </dl>
    </ModalDialog>
  );
}

function Row({ keys, does }: { keys: readonly string[]; does: string }) {
  return (
    <div className={styles.row}>
      <dt>{does}</dt>
      <dd className={styles.keys}>
        {keys.map((key) => (
          <kbd key={key} className={styles.key}>
            {key}
          </kbd>
        ))}
      </dd>
    </div>
  );
}
