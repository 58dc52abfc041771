import { useEffect, useState } from 'react';

import button from '../components/button.module.css';
import { Field } from '../components/field';
import { ModalDialog } from '../components/modal-dialog';
import panel from '../components/panel.module.css';
import { writeCollection } from '../features/saved/collection-file';
import { ConnectionForm } from '../features/saved/connection-form';
import { ConnectionList } from '../features/saved/connection-list';
import { EnvironmentChoice } from '../features/saved/environment-choice';
import { EnvironmentForm } from '../features/saved/environments-form';
import { ImportPart } from '../features/saved/import-part';
import type { SavedConnection, SavedEnvironment, Written } from '../features/saved/library';
import { type Collection, type ConnectionContent, NEW_CONNECTION } from '../features/saved/model';
import { readAddress } from '../features/saved/read-content';
import styles from '../features/saved/saved.module.css';
import { readSubprotocols } from '../features/connection/subprotocols';
import { formatPlural } from '../lib/figures';
import { useStore } from '../lib/frame-store';
import { saveFile } from '../lib/save-file';
import type { ChatTab, TabFields } from './chat-tabs';
import { library, libraryRead } from './saved-work';

interface SavedDialogProps {
  tab: ChatTab;
  /** As it stands in the field. */
  address: string;
  onNote: (fields: TabFields) => void;
  onOpen: (address: string, fields: TabFields) => void;
  onClose: () => void;
}

type Screen =
  | { readonly is: 'list' }
  | { readonly is: 'connection'; readonly saved: SavedConnection }
  | { readonly is: 'environment'; readonly saved: SavedEnvironment | null };

const LIST: Screen = { is: 'list' };

/** All that was saved, and the way to and from files. */
export default function SavedDialog(props: SavedDialogProps) {
  const { onClose, onOpen } = props;
  const snapshot = useStore(library.store);
  const [screen, setScreen] = useState<Screen>(LIST);
  const [failed, setFailed] = useState<Extract<Written, { ok: false }> | null>(null);
  const [said, setSaid] = useState('');

  useEffect(() => {
    void libraryRead();
  }, []);

  const show = (next: Screen) => {
    setScreen(next);
    setFailed(null);
    setSaid('');
  };
  /** Tells what came of it; returns why nothing was written, or `null`. */
  const settle = async (writing: Promise<Written>, done = ''): Promise<string | null> => {
    const written = await writing;
    setFailed(written.ok ? null : written);
    setSaid(written.ok ? done : '');
    return written.ok ? null : written.problem;
  };
  const exportAll = (collection: Collection) => {
    const { text, secretsLeftOut, secretsNamed } = writeCollection(collection);
    saveFile(fileNameOf(collection.name), 'application/json', text);
    const left = secretsLeftOut + secretsNamed;
    setSaid(
      left === 0 ? 'Exported.' : `Exported, without ${formatPlural(left, 'secret', 'secrets')}.`,
    );
  };

  if (screen.is === 'connection') {
    const { saved } = screen;
    return (
      <ModalDialog title="Saved connection" onClose={onClose}>
        <ConnectionForm
          content={saved.content}
          problem={failed?.problem ?? null}
          isStale={failed?.isStale ?? false}
          onSave={(content, asNew) => {
            const writing = asNew
              ? library.addConnection(content)
              : library.changeConnection(saved, content);
            void settle(writing).then((whyNot) => {
              if (whyNot === null) show(LIST);
            });
          }}
          onExport={(content) => {
            exportAll({ name: content.name, connections: [content], environments: [] });
          }}
          onCancel={() => show(LIST)}
        />
        <p className={panel.note} role="status">
          {said}
        </p>
      </ModalDialog>
    );
  }
  if (screen.is === 'environment') {
    const { saved } = screen;
    return (
      <ModalDialog title="Variables" onClose={onClose}>
        <EnvironmentForm
          environment={saved}
          onSave={async (content) => {
            const written = await (saved === null
              ? library.addEnvironment(content)
              : library.changeEnvironment(saved, content));
            if (!written.ok) return written.problem;
            library.chooseEnvironment(written.id);
            show(LIST);
            return null;
          }}
          onDelete={() => {
            if (saved !== null) void settle(library.delete('environments', saved));
            show(LIST);
          }}
          onBack={() => show(LIST)}
        />
      </ModalDialog>
    );
  }
  const { connections, environments, chosen, deleted } = snapshot;
  return (
    <ModalDialog title="Collection" onClose={onClose}>
      <SaveForm {...props} onWrite={settle} />
      <p className={failed === null ? panel.note : panel.problem} role="status">
        {failed?.problem ?? said}
      </p>
      {!snapshot.isReady ? (
        <p className={panel.note}>Reading what is kept…</p>
      ) : (
        <ConnectionList
          connections={connections}
          openId={props.tab.savedId}
          onOpen={({ id, content }) => {
            onOpen(content.address, {
              subprotocols: content.subprotocols.join(', '),
              savedId: id,
            });
            onClose();
          }}
          onEdit={(saved) => show({ is: 'connection', saved })}
          onDuplicate={({ content }) => void settle(library.addConnection(content))}
          onDelete={(one) => void settle(library.delete('connections', one))}
        />
      )}
      {deleted !== null && (
        <p className={styles.undo}>
          <span>
            <bdi>{deleted}</bdi> was deleted.
          </span>
          <button
            type="button"
            className={button.smallQuiet}
            onClick={() => void settle(library.undoDelete())}
          >
            Undo
          </button>
        </p>
      )}
      <EnvironmentChoice
        environments={environments}
        chosen={chosen}
        onChoose={(id) => library.chooseEnvironment(id)}
        onEdit={() => show({ is: 'environment', saved: chosen })}
        onNew={() => show({ is: 'environment', saved: null })}
      />
      <ImportPart onAdd={(collection) => settle(library.addCollection(collection))} />
      <p className={styles.foot}>
        <button
          type="button"
          className={button.smallQuiet}
          aria-disabled={connections.length + environments.length === 0}
          onClick={() => {
            if (connections.length + environments.length === 0) return;
            exportAll({
              name: 'echo-trio',
              connections: connections.map(({ content }) => content),
              environments: environments.map(({ content }) => content),
            });
          }}
        >
          Export all
        </button>
        {!snapshot.isKept && snapshot.isReady && (
          <span className={panel.problem}>
            This browser keeps nothing for the page: it is gone once you leave.
          </span>
        )}
        {snapshot.unreadable > 0 && (
          <span className={panel.problem}>
            {formatPlural(snapshot.unreadable, 'entry', 'entries')} of another version cannot be
            shown.
          </span>
        )}
      </p>
    </ModalDialog>
  );
}

/** Saves the chat's connection: as a new one, or over the one that is open in it. */
function SaveForm(
  props: SavedDialogProps & {
    onWrite: (writing: Promise<Written>, done: string) => Promise<string | null>;
  },
) {
  const { tab, address, onNote, onWrite } = props;
  const { connections } = useStore(library.store);
  const open = connections.find(({ id }) => id === tab.savedId);
  const [name, setName] = useState('');

  const content = (): ConnectionContent => {
    const offered = readSubprotocols(tab.subprotocols);
    return {
      ...(open?.content ?? NEW_CONNECTION),
      address: readAddress(address),
      subprotocols: offered.ok ? offered.names : [],
    };
  };
  const saveNew = async () => {
    await libraryRead();
    const writing = library.addConnection({ ...content(), name: name.trim() || nameOf(address) });
    await onWrite(writing, 'Saved.');
    const written = await writing;
    if (written.ok) {
      setName('');
      onNote({ savedId: written.id });
    }
  };
  return (
    <form
      aria-label="Save this connection"
      className={styles.bar}
      onSubmit={(event) => {
        event.preventDefault();
        event.stopPropagation();
        void saveNew();
      }}
    >
      <div className={styles.grow}>
        <Field name="Save this chat’s connection as">
          {(id) => (
            <input
              id={id}
              className={panel.input}
              value={name}
              placeholder={nameOf(address)}
              onChange={({ target }) => setName(target.value)}
            />
          )}
        </Field>
      </div>
      <button type="submit" className={button.quiet}>
        Save
      </button>
      {open !== undefined && (
        <button
          type="button"
          className={button.quiet}
          onClick={() => {
            const { name: kept } = open.content;
            void onWrite(library.changeConnection(open, { ...content(), name: kept }), 'Saved.');
          }}
        >
          Save over <bdi>{shortened(open.content.name)}</bdi>
        </button>
      )}
    </form>
  );
}

/** Host and path: what tells one from the other. */
function nameOf(address: string): string {
  return (
    address
      .trim()
      .replace(/^wss?:\/\//i, '')
      .replace(/\?.*$/s, '') || 'Without a name'
  );
}

function shortened(name: string): string {
  return name.length <= 24 ? name : `${name.slice(0, 23)}…`;
}

function fileNameOf(name: string): string {
  const safe = name
    .replace(/[^\p{L}\p{N}.-]+/gu, '-')
    .replace(/^[-.]+|[-.]+$/g, '')
    .slice(0, 60);
  return `${safe === '' ? 'collection' : safe}.echo-trio.json`;
}
