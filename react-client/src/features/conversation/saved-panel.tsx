import { useState } from 'react';

import button from '../../components/button.module.css';
import panel from '../../components/panel.module.css';
import { formatCount } from '../../lib/figures';
import type { Draft } from './composer-draft';
import { LONGEST_KEPT, MOST_SAVED, savedMessages } from './kept-drafts';
import styles from './saved-panel.module.css';

interface SavedPanelProps {
  draft: Draft;
  onTake: (draft: Draft) => void;
}

/** Messages kept for another time. */
export function SavedPanel({ draft, onTake }: SavedPanelProps) {
  const [saved, setSaved] = useState(() => savedMessages.all());
  const whyNot = whyNotSaved(draft, saved);
  const canSave = whyNot === null && draft.text.trim() !== '';
  return (
    <>
      <h3 className={panel.title}>Saved messages</h3>
      {saved.length === 0 ? (
        <p className={panel.note}>None yet. Write one, then save it here.</p>
      ) : (
        <ul className={styles.list}>
          {saved.map((one) => (
            <li key={`${one.mode} ${one.text}`} className={styles.item}>
              <button type="button" className={styles.take} onClick={() => onTake(one)}>
                <span className={styles.text}>{one.text}</span>
                <span className={styles.mode}>{one.mode}</span>
              </button>
              <button
                type="button"
                className={styles.remove}
                aria-label={`Delete ${one.text.slice(0, 40)}`}
                title="Delete"
                onClick={() => {
                  savedMessages.remove(one);
                  setSaved(savedMessages.all());
                }}
              >
                ×
              </button>
            </li>
          ))}
        </ul>
      )}
      <p>
        <button
          type="button"
          className={button.smallQuiet}
          aria-disabled={!canSave}
          onClick={() => {
            if (!canSave) return;
            savedMessages.add(draft);
            setSaved(savedMessages.all());
          }}
        >
          Save this message
        </button>
      </p>
      {whyNot !== null && <p className={panel.note}>{whyNot}</p>}
    </>
  );
}

/** What was saved is not pushed out by what comes after it, as what was sent is. */
function whyNotSaved(draft: Draft, saved: readonly Draft[]): string | null {
  if (draft.text.length > LONGEST_KEPT) {
    return `This one is too long: at most ${formatCount(LONGEST_KEPT)} characters are saved.`;
  }
  return saved.length < MOST_SAVED
    ? null
    : `${formatCount(MOST_SAVED)} are saved already: delete one first.`;
}
