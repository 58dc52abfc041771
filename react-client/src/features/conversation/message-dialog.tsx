import { useState } from 'react';

import button from '../../components/button.module.css';
import { CopyButton } from '../../components/copy-button';
import { ModalDialog } from '../../components/modal-dialog';
import panel from '../../components/panel.module.css';
import { formatBytes, formatCount, formatMilliseconds, formatTimeOfDay } from '../../lib/figures';
import { saveFile } from '../../lib/save-file';
import type { Outgoing } from '../../lib/send-plan';
import { formatJson } from './composer-draft';
import type { ReceivedEntry, SentEntry } from './conversation';
import { type CopyTarget, recipesFor } from './copy-as';
import { hexDump, writeHex } from './hex';
import styles from './message-dialog.module.css';
import { type Payload, sizeBytesOf, withoutSuffix } from './payload';
import { Resend } from './resend';

interface MessageDialogProps {
  entry: SentEntry | ReceivedEntry;
  target: CopyTarget | null;
  /** Settles to why it was not sent, in one line, or to `null` when it was. */
  onResend: (data: Outgoing) => Promise<string | null>;
  onClose: () => void;
}

/** More would hold up the page; the file has it all. */
const SHOWN_BYTES = 65_536;

const SHOWN_OF_SCRIPT = 200;

const FORMS = ['pretty', 'text', 'hex'] as const;
type Form = (typeof FORMS)[number];
const CAPTIONS: Readonly<Record<Form, string>> = { pretty: 'Indented', text: 'Text', hex: 'Hex' };

/** One message from all sides, and ways to take it elsewhere. */
export default function MessageDialog(props: MessageDialogProps) {
  const { entry, target, onResend, onClose } = props;
  const suffix = entry.kind === 'received' ? (entry.answers?.suffix ?? null) : null;
  const payload = withoutSuffix(entry.payload, suffix);
  const forms = formsOf(payload);
  const [form, setForm] = useState<Form>(() => forms[0] ?? 'hex');
  const content = contentOf(payload, form);
  const isSent = entry.kind === 'sent';

  return (
    <ModalDialog
      title={isSent ? `Message ${formatCount(entry.number)}, sent` : 'Message received'}
      onClose={onClose}
    >
      <dl className={styles.facts}>
        <Fact name="At" value={formatTimeOfDay(entry.atMs, 'milliseconds')} />
        <Fact name="Size" value={formatBytes(sizeBytesOf(entry.payload))} />
        {isSent ? (
          <Fact name="Fate" value={entry.fate} />
        ) : (
          <>
            <Fact name="Verdict" value={entry.verdict} />
            {entry.answers !== undefined && (
              <Fact name="Answers" value={`#${formatCount(entry.answers.number)}`} />
            )}
            {suffix !== null && <Fact name="Suffix" value={suffix} />}
            {entry.roundTripMs !== undefined && (
              <Fact name="Round trip" value={formatMilliseconds(entry.roundTripMs)} />
            )}
          </>
        )}
      </dl>

      {isSent && <Resend payload={payload} onResend={onResend} />}

      <section className={styles.content} aria-label="Content">
        <header className={styles.bar}>
          <span className={styles.forms}>
            {forms.map((one) => (
              <button
                key={one}
                type="button"
                className={styles.form}
                aria-pressed={one === form}
                onClick={() => setForm(one)}
              >
                {CAPTIONS[one]}
              </button>
            ))}
          </span>
          <CopyButton key={form} text={content.whole} label="the content" />
          <button type="button" className={button.smallQuiet} onClick={() => save(payload)}>
            Save as a file
          </button>
        </header>
        {/* A region that scrolls must be reachable by keyboard. */}
        {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
        <pre className={styles.text} data-form={form} tabIndex={0} aria-label={CAPTIONS[form]}>
          {content.shown}
        </pre>
        {content.isCut && (
          <p className={panel.note}>Only the beginning is shown; the file has it all.</p>
        )}
      </section>

      {target !== null && (
        <section className={styles.recipes} aria-label="Copy as">
          <h3 className={panel.title}>{isSent ? 'Say the same with' : 'Send this with'}</h3>
          {recipesFor(payload, target).map(({ name, text, whyNot }) => (
            <p key={name} className={styles.recipe}>
              <span className={styles.recipeName}>{name}</span>
              {text === null ? (
                <span className={panel.note}>{whyNot}</span>
              ) : (
                <>
                  <code className={styles.script}>{text.slice(0, SHOWN_OF_SCRIPT)}</code>
                  <CopyButton text={text} label={`as ${name}`} />
                </>
              )}
            </p>
          ))}
        </section>
      )}
    </ModalDialog>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function formsOf(payload: Payload): readonly Form[] {
  if (payload.type === 'binary') return ['hex'];
  return isJson(payload.text) ? FORMS : ['text', 'hex'];
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return /^\s*[[{"]/.test(text);
  } catch {
    return false;
  }
}

function contentOf(payload: Payload, form: Form) {
  if (form === 'hex' || payload.type === 'binary') {
    const bytes =
      payload.type === 'binary' ? payload.bytes : new TextEncoder().encode(payload.text);
    return {
      shown: hexDump(bytes.subarray(0, SHOWN_BYTES)),
      isCut: bytes.length > SHOWN_BYTES,
      whole: () => writeHex(bytes),
    };
  }
  const text = form === 'pretty' ? formatJson(payload.text) : payload.text;
  return {
    shown: text.slice(0, SHOWN_BYTES),
    isCut: text.length > SHOWN_BYTES,
    whole: () => text,
  };
}

function save(payload: Payload): void {
  if (payload.type === 'text') saveFile('message.txt', 'text/plain', payload.text);
  else saveFile('message.bin', 'application/octet-stream', new Blob([payload.bytes]));
}
