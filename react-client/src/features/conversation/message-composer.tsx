import {
  type KeyboardEvent,
  type ReactNode,
  type SubmitEvent,
  useId,
  useRef,
  useState,
} from 'react';

import button from '../../components/button.module.css';
import { PopButton } from '../../components/pop-button';
import hidden from '../../components/visually-hidden.module.css';
import { formatBytes } from '../../lib/figures';
import { lazyPart } from '../../lib/lazy-part';
import { usePartName } from '../../lib/part-name';
import { remember, remembered } from '../../lib/remembered';
import type { Outgoing } from '../../lib/send-plan';
import {
  type Draft,
  EMPTY_DRAFT,
  formatJson,
  type Mode,
  MODES,
  parseDraft,
  readDraft,
} from './composer-draft';
import { sentBefore } from './kept-drafts';
import styles from './message-composer.module.css';
import { useSentBefore } from './use-sent-before';

// Behind a button: they come soon after the first view.
const RepeatPanel = lazyPart(() =>
  import('./repeat-panel').then((module) => ({ default: module.RepeatPanel })),
);
const SavedPanel = lazyPart(() =>
  import('./saved-panel').then((module) => ({ default: module.SavedPanel })),
);

interface MessageComposerProps {
  isConnected: boolean;
  /** Under which the draft outlives a reload. */
  draftKey?: string;
  /** Settles to why the message was not sent, in one line, or to `null` when it was. */
  onSend: (data: Outgoing) => Promise<string | null>;
  /** Starts to send one again and again; settles to why not, or to `null`. */
  onRepeat?: (data: Outgoing, pace: Pace) => Promise<string | null>;
  /** Further messages that were saved. */
  renderSaved?: (draft: Draft, take: (draft: Draft) => void) => ReactNode;
}

interface Pace {
  readonly intervalMs: number;
  /** `null`: until stopped. */
  readonly count: number | null;
}

interface Refusal {
  readonly whyNot: string;
  readonly whileConnected: boolean;
}

interface Attachment {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Writes a message; what could not be sent stays in it. */
export function MessageComposer(props: MessageComposerProps) {
  const { isConnected, draftKey = 'echo-trio.draft', onSend } = props;
  const { onRepeat = () => Promise.resolve(null), renderSaved = () => null } = props;
  const [draft, setShownDraft] = useState(() => parseDraft(remembered(draftKey)));
  const [attachment, setAttachment] = useState<Attachment | null>(null);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const fieldId = useId();
  const hintId = useId();
  const field = useRef<HTMLTextAreaElement>(null);
  const filePicker = useRef<HTMLInputElement>(null);

  /** The file that is being read, until something else takes its place. */
  const chosen = useRef<File | null>(null);

  const detach = () => {
    chosen.current = null;
    setAttachment(null);
  };
  const setDraft = (next: Draft) => {
    setShownDraft(next);
    remember(draftKey, JSON.stringify(next));
  };
  const edit = (next: Draft) => {
    setDraft(next);
    setRefusal(null);
  };
  const history = useSentBefore(draft, edit);

  const refuse = (whyNot: string | null) => {
    setRefusal(whyNot === null ? null : { whyNot, whileConnected: isConnected });
  };

  const send = async () => {
    if (attachment !== null) {
      detach();
      const whyNot = await onSend(attachment.bytes);
      if (whyNot !== null) setAttachment((begun) => begun ?? attachment);
      refuse(whyNot);
      return;
    }
    const read = readDraft(draft);
    if (!read.ok) {
      refuse(read.problem);
      return;
    }
    // At once, so that the next message can be begun, or Enter pressed again, without harm.
    setDraft({ ...draft, text: '' });
    const whyNot = await onSend(read.data);
    if (whyNot === null) {
      sentBefore.add(draft);
    } else {
      setShownDraft((begun) => {
        const kept = begun.text === '' ? draft : { ...draft, text: `${draft.text}\n${begun.text}` };
        remember(draftKey, JSON.stringify(kept));
        return kept;
      });
    }
    history.leave();
    refuse(whyNot);
  };

  const start = async (pace: Pace) => {
    const read = readDraft(draft);
    const data = attachment?.bytes ?? (read.ok ? read.data : '');
    if (attachment === null && !read.ok) return read.problem;
    return data.length === 0 ? 'Write the message first.' : onRepeat(data, pace);
  };

  const attach = async (file: File | undefined) => {
    if (file === undefined) return;
    chosen.current = file;
    setRefusal(null);
    try {
      const bytes = new Uint8Array(await file.arrayBuffer());
      if (chosen.current === file) setAttachment({ name: file.name, bytes });
    } catch {
      if (chosen.current === file) refuse(`${file.name} cannot be read.`);
    }
  };

  // Once there is a connection, that there was none is no longer the problem.
  const isOutdated = isConnected && refusal?.whileConnected === false;
  const problem = refusal === null || isOutdated ? null : refusal.whyNot;
  const read = readDraft(draft);

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    void send();
  };

  const press = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    // Enter also confirms a word in an input method, and must not send it half-written.
    if (event.nativeEvent.isComposing) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      void send();
    } else {
      history.press(event);
    }
  };

  return (
    <form className={styles.composer} onSubmit={submit} aria-label={usePartName('New message')}>
      <div className={styles.box}>
        {attachment === null ? (
          <>
            <label htmlFor={fieldId} className={hidden.hidden}>
              Message
            </label>
            <textarea
              id={fieldId}
              ref={field}
              className={styles.field}
              rows={1}
              placeholder={isConnected ? PLACEHOLDERS[draft.mode] : 'Connect to send a message'}
              value={draft.text}
              spellCheck={false}
              aria-describedby={hintId}
              aria-invalid={problem !== null}
              onKeyDown={press}
              onChange={(event) => {
                edit({ ...draft, text: event.target.value });
              }}
            />
          </>
        ) : (
          <p className={styles.attachment}>
            <span className={styles.fileName}>{attachment.name}</span>
            <span>{formatBytes(attachment.bytes.length)}</span>
            <button type="button" className={button.tool} onClick={() => detach()}>
              Remove
            </button>
          </p>
        )}
        <button type="submit" className={styles.send} aria-disabled={!isConnected}>
          Send
        </button>
      </div>
      <div className={styles.tools}>
        <fieldset className={styles.modes}>
          <legend className={hidden.hidden}>Type of message</legend>
          {MODES.map((mode) => (
            <label key={mode} className={styles.mode}>
              <input
                type="radio"
                name={`${fieldId}-mode`}
                value={mode}
                checked={draft.mode === mode}
                onChange={() => {
                  if (mode !== 'binary') detach();
                  edit({ ...draft, mode });
                }}
              />
              {CAPTIONS[mode]}
            </label>
          ))}
        </fieldset>
        {draft.mode === 'json' && (
          <button
            type="button"
            className={button.tool}
            onClick={() => edit({ ...draft, text: formatJson(draft.text) })}
          >
            Indent
          </button>
        )}
        {draft.mode === 'binary' && (
          <>
            <input
              ref={filePicker}
              type="file"
              hidden
              aria-label="File to send"
              onChange={({ target }) => {
                void attach(target.files?.[0]);
                target.value = '';
              }}
            />
            <button
              type="button"
              className={button.tool}
              onClick={() => filePicker.current?.click()}
            >
              File…
            </button>
          </>
        )}
        <p id={hintId} className={styles.hint} role={problem === null ? undefined : 'alert'}>
          {problem === null ? (
            <Hint draft={draft} reading={read} />
          ) : (
            <span className={styles.problem}>{problem}</span>
          )}
        </p>
        <span className={styles.rare}>
          <PopButton label="Saved messages" caption="Saved" className={button.tool}>
            {(close) => {
              const take = (taken: Draft) => {
                detach();
                edit(taken);
                close();
                field.current?.focus();
              };
              return (
                <>
                  {renderSaved(draft, take)}
                  <SavedPanel draft={draft} onTake={take} />
                </>
              );
            }}
          </PopButton>
          <PopButton label="Repeat this message" caption="Repeat" className={button.tool}>
            {(close) => (
              <RepeatPanel
                onStart={async (pace) => {
                  const whyNot = await start(pace);
                  if (whyNot === null) close();
                  return whyNot;
                }}
              />
            )}
          </PopButton>
        </span>
      </div>
    </form>
  );
}

/** How long the message is, in bytes, as the server's limit counts; or what it lacks yet. */
function Hint(props: { draft: Draft; reading: ReturnType<typeof readDraft> }) {
  const { draft, reading } = props;
  if (draft.text === EMPTY_DRAFT.text) return null;
  if (!reading.ok) return <span className={styles.wary}>{reading.problem}</span>;
  const { data } = reading;
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data).length : data.length;
  return <span>{formatBytes(bytes)}</span>;
}

const CAPTIONS: Readonly<Record<Mode, string>> = { text: 'Text', json: 'JSON', binary: 'Binary' };
const PLACEHOLDERS: Readonly<Record<Mode, string>> = {
  text: 'Say something – Enter sends',
  json: '{"say": "something"}',
  binary: 'Hex digits: 68 65 6c 6c 6f',
};
