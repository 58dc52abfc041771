import { useId, useState } from 'react';

import button from '../../components/button.module.css';
import { Field } from '../../components/field';
import panel from '../../components/panel.module.css';
import { toBase64 } from '../../lib/base64';
import type { BinaryChoice } from './binary-choice';
import type * as Decoders from './decoders';

interface ProtobufSettingsProps {
  choice: BinaryChoice;
  choose: (change: Partial<BinaryChoice>) => void;
  decoders: typeof Decoders;
}

/** What a browser keeps for a page is a few million characters, for all of it. */
const MOST_BYTES = 512 * 1024;

/** The names of fields, which are not in the messages: from a descriptor set. */
export function ProtobufSettings({ choice, choose, decoders }: ProtobufSettingsProps) {
  const [problem, setProblem] = useState<string | null>(null);
  const problemId = useId();
  const types = decoders.messageTypesOf(choice.descriptor);

  const take = async (file: File) => {
    const bytes = new Uint8Array(await file.arrayBuffer());
    const refusal = refusalOf(file, bytes, decoders);
    setProblem(refusal);
    if (refusal !== null) return;
    const descriptor = toBase64(bytes);
    const known = decoders.messageTypesOf(descriptor);
    const messageType = known.find((name) => name === choice.messageType) ?? known[0] ?? '';
    choose({ descriptor, messageType });
  };

  return (
    <div className={panel.field}>
      <div className={panel.row}>
        {types.length === 0 ? (
          <Field name="Descriptor set, for the names of fields">
            {(id) => (
              <input
                id={id}
                type="file"
                className={panel.input}
                aria-invalid={problem !== null}
                aria-describedby={problemId}
                onChange={({ target }) => {
                  const file = target.files?.[0];
                  if (file !== undefined) void take(file);
                }}
              />
            )}
          </Field>
        ) : (
          <>
            <Field name="Message type">
              {(id) => (
                <select
                  id={id}
                  className={panel.input}
                  value={choice.messageType}
                  onChange={({ target }) => {
                    choose({ messageType: target.value });
                  }}
                >
                  {types.map((name) => (
                    <option key={name}>{name}</option>
                  ))}
                </select>
              )}
            </Field>
            <button
              type="button"
              className={button.smallQuiet}
              onClick={() => {
                choose({ descriptor: '', messageType: '' });
              }}
            >
              Without names
            </button>
          </>
        )}
      </div>
      <p id={problemId} className={problem === null ? panel.note : panel.problem} role="status">
        {problem ??
          (types.length === 0
            ? 'Made by protoc --include_imports --descriptor_set_out=messages.pb messages.proto'
            : '')}
      </p>
    </div>
  );
}

function refusalOf(file: File, bytes: Uint8Array, decoders: typeof Decoders): string | null {
  if (file.name.endsWith('.proto')) {
    return 'That is the source: give what protoc makes of it with --descriptor_set_out.';
  }
  if (bytes.length > MOST_BYTES) {
    return `At most ${MOST_BYTES.toLocaleString('en')} bytes; this has ${bytes.length.toLocaleString('en')}.`;
  }
  const read = decoders.readDescriptor(bytes);
  if (read.ok) return null;
  return `Not a descriptor set: byte ${read.problem.at.toLocaleString('en')}, ${read.problem.what}.`;
}
