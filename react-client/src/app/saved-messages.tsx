import { useEffect, useState } from 'react';

import button from '../components/button.module.css';
import panel from '../components/panel.module.css';
import type { Draft } from '../features/conversation/composer-draft';
import { titleOf } from '../features/saved/model';
import styles from '../features/saved/saved.module.css';
import { useStore } from '../lib/frame-store';
import { library, libraryRead } from './saved-work';

interface SavedMessagesProps {
  /** Of the saved connection that is open in the chat. */
  id: string;
  draft: Draft;
  onTake: (draft: Draft) => void;
}

/** The messages of the saved connection that is open in the chat. */
export default function SavedMessages({ id, draft, onTake }: SavedMessagesProps) {
  const { connections } = useStore(library.store);
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    void libraryRead();
  }, []);
  const open = connections.find((one) => one.id === id);
  if (open === undefined) return null;
  const { content } = open;
  const canSave = draft.text.trim() !== '';

  const save = async () => {
    const messages = [...content.messages, { name: '', mode: draft.mode, text: draft.text }];
    const written = await library.changeConnection(open, { ...content, messages });
    setProblem(written.ok ? null : written.problem);
  };
  return (
    <section aria-label={`Messages of ${content.name}`}>
      <h3 className={panel.title}>
        Messages of <bdi>{content.name}</bdi>
      </h3>
      <ul className={styles.list}>
        {content.messages.map((message, index) => (
          <li key={index}>
            <button
              type="button"
              className={panel.action}
              style={{ width: '100%' }}
              onClick={() => onTake({ mode: message.mode, text: message.text })}
            >
              <span className={styles.text}>{titleOf(message)}</span>
              <small>{message.mode}</small>
            </button>
          </li>
        ))}
      </ul>
      <p>
        <button
          type="button"
          className={button.smallQuiet}
          aria-disabled={!canSave}
          onClick={() => {
            if (canSave) void save();
          }}
        >
          Save this message to it
        </button>
      </p>
      {problem !== null && (
        <p className={panel.problem} role="alert">
          {problem}
        </p>
      )}
    </section>
  );
}
