import { memo, type ReactNode, useMemo, useState } from 'react';

import button from '../../components/button.module.css';
import type { ValueAction } from '../../components/chosen-value';
import { CopyButton } from '../../components/copy-button';
import panel from '../../components/panel.module.css';
import { ValueTreeView } from '../../components/value-tree-view';
import { saveFile } from '../../lib/save-file';
import { contentOf, type Form, type Shown } from './content';
import { ContentProblem } from './content-problem';
import styles from './message-dialog.module.css';
import type { Payload } from './payload';

const CAPTIONS: Readonly<Record<Form, string>> = {
  tree: 'Tree',
  indented: 'Indented',
  text: 'Text',
  hex: 'Hex',
};

interface TextContentProps {
  text: string;
  actions: readonly ValueAction[];
  save: () => void;
}

/**
 * What a text message carries, in the forms that it can be read in. It is made anew only where the
 * message is another: the log behind it may go on at thousands a second.
 */
export const TextContent = memo(function TextContent({ text, actions, save }: TextContentProps) {
  const content = useMemo(() => contentOf(text), [text]);
  const [wanted, setForm] = useState<Form | null>(null);
  const form = content.forms.find((one) => one === wanted) ?? content.forms[0] ?? 'hex';
  const shown = useMemo(() => content.shown(form), [content, form]);
  return (
    <ContentFrame
      forms={content.forms.map((one) => ({ key: one, caption: CAPTIONS[one] }))}
      form={form}
      onForm={setForm}
      whole={() => content.whole(form)}
      save={save}
    >
      {content.problem !== null && <ContentProblem problem={content.problem} />}
      {form === 'tree' && content.tree !== null ? (
        <ValueTreeView tree={content.tree} label={CAPTIONS.tree} actions={actions} />
      ) : (
        <PlainContent shown={shown} name={CAPTIONS[form]} isHex={form === 'hex'} />
      )}
    </ContentFrame>
  );
});

interface ContentFrameProps<Key extends string> {
  forms: readonly { readonly key: Key; readonly caption: string }[];
  form: Key;
  onForm: (form: Key) => void;
  /** What “Copy” copies. */
  whole: () => string;
  save: () => void;
  children: ReactNode;
}

/** The contents of a message below the forms that one chooses from. */
export function ContentFrame<Key extends string>(props: ContentFrameProps<Key>) {
  const { forms, form, onForm, whole, save, children } = props;
  return (
    <section className={styles.content} aria-label="Content">
      <header className={styles.bar}>
        <span className={styles.forms}>
          {forms.map(({ key, caption }) => (
            <button
              key={key}
              type="button"
              className={styles.form}
              aria-pressed={key === form}
              onClick={() => {
                onForm(key);
              }}
            >
              {caption}
            </button>
          ))}
        </span>
        <CopyButton key={form} text={whole} label="the content" />
        <button type="button" className={button.smallQuiet} onClick={save}>
          Save as a file
        </button>
      </header>
      {children}
    </section>
  );
}

/** Text or a hex dump, as it is. */
export function PlainContent(props: { shown: Shown; name: string; isHex: boolean }) {
  const { shown, name, isHex } = props;
  return (
    <>
      <pre
        className={styles.text}
        data-form={isHex ? 'hex' : undefined}
        // A region that scrolls must be reachable by keyboard.
        // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
        tabIndex={0}
        aria-label={name}
      >
        {shown.text}
      </pre>
      {shown.isCut && (
        <p className={panel.note}>Only the beginning is shown; the file has it all.</p>
      )}
    </>
  );
}

export function savePayload(payload: Payload): void {
  if (payload.type === 'text') saveFile('message.txt', 'text/plain', payload.text);
  else saveFile('message.bin', 'application/octet-stream', new Blob([payload.bytes]));
}
