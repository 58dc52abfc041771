import { useEffect, useId, useState } from 'react';

import { Field } from '../../../components/field';
import panel from '../../../components/panel.module.css';
import { consoleJson } from '../../../lib/console-fetch';
import { type DialForm, orderOf, PLAIN_DIAL, readDialForm } from './dial-form';

interface DialFieldsProps {
  /** A form as JSON; `null` where the browser dials. */
  through: string | null;
  onThrough: (through: string | null) => void;
}

interface Offer {
  readonly targets: readonly string[];
  readonly certificates: readonly string[];
}

/** Whether the console dials for the page, and how. It holds from the next connection on. */
export default function DialFields({ through, onThrough }: DialFieldsProps) {
  const [isOn, setIsOn] = useState(through !== null);
  const [form, setForm] = useState(() => readDialForm(through));
  const change = (changes: Partial<DialForm>) => {
    const changed = { ...form, ...changes };
    setForm(changed);
    onThrough(JSON.stringify(changed));
  };
  return (
    <>
      <label className={panel.choice}>
        <input
          type="checkbox"
          checked={isOn}
          onChange={({ target }) => {
            setIsOn(target.checked);
            onThrough(target.checked ? JSON.stringify(form) : null);
          }}
        />
        <span>
          Through the server: it dials for the page, and shows headers, certificates, frames and the
          cause of a 1006
        </span>
      </label>
      {isOn && <Choices form={form} onChange={change} />}
    </>
  );
}

function Choices(props: { form: DialForm; onChange: (changes: Partial<DialForm>) => void }) {
  const { form, onChange } = props;
  const [offer, setOffer] = useState<Offer | string | null>(null);
  const noteId = useId();
  useEffect(() => {
    let isWanted = true;
    const take = (found: Offer | string) => {
      if (isWanted) setOffer(found);
    };
    consoleJson('api/dial').then(
      (answer) => {
        take(answer as Offer);
      },
      (error: unknown) => {
        take(error instanceof Error ? error.message : String(error));
      },
    );
    return () => {
      isWanted = false;
    };
  }, []);
  const read = orderOf(form);
  const certificates = typeof offer === 'object' && offer !== null ? offer.certificates : [];
  const typed = (name: 'origin' | 'cookie', placeholder: string) => (id: string) => (
    <input
      id={id}
      className={`${panel.input ?? ''} ${panel.code ?? ''}`}
      value={form[name]}
      placeholder={placeholder}
      autoComplete="off"
      autoCapitalize="off"
      spellCheck={false}
      onChange={({ target }) => {
        onChange({ [name]: target.value });
      }}
    />
  );
  return (
    <>
      <p className={typeof offer === 'string' ? panel.problem : panel.note}>{sayWhere(offer)}</p>
      <Field name="Origin">{typed('origin', 'none')}</Field>
      <Field name="Cookies">{typed('cookie', 'name=value; name=value')}</Field>
      <Field name="Further headers">
        {(id) => (
          <>
            <textarea
              id={id}
              className={`${panel.input ?? ''} ${panel.code ?? ''}`}
              rows={3}
              value={form.headers}
              placeholder="Authorization: Bearer …"
              spellCheck={false}
              aria-invalid={!read.ok}
              aria-describedby={noteId}
              onChange={({ target }) => {
                onChange({ headers: target.value });
              }}
            />
            <p id={noteId} className={read.ok ? panel.note : panel.problem}>
              {read.ok ? 'One a line. Kept for this tab of the browser alone.' : read.problem}
            </p>
          </>
        )}
      </Field>
      {(certificates.length > 0 || form.certificate !== PLAIN_DIAL.certificate) && (
        <Field name="Client certificate">
          {(id) => (
            <select
              id={id}
              className={panel.input}
              value={form.certificate}
              onChange={({ target }) => {
                onChange({ certificate: target.value });
              }}
            >
              <option value="">None</option>
              {[...new Set([...certificates, form.certificate])]
                .filter((name) => name !== '')
                .map((name) => (
                  <option key={name}>{name}</option>
                ))}
            </select>
          )}
        </Field>
      )}
      <Choice
        name="Offer compression (permessage-deflate)"
        isOn={form.compression}
        onChange={(compression) => {
          onChange({ compression });
        }}
      />
      <Choice
        name="Go on although the server’s certificate is not trusted"
        isOn={form.insecure}
        onChange={(insecure) => {
          onChange({ insecure });
        }}
      />
    </>
  );
}

function Choice(props: { name: string; isOn: boolean; onChange: (isOn: boolean) => void }) {
  return (
    <label className={panel.choice}>
      <input
        type="checkbox"
        checked={props.isOn}
        onChange={({ target }) => {
          props.onChange(target.checked);
        }}
      />
      <span>{props.name}</span>
    </label>
  );
}

function sayWhere(offer: Offer | string | null): string {
  if (typeof offer === 'string') return `The console does not dial: ${offer}`;
  const where = offer === null ? 'this server' : offer.targets.join(', ');
  return `It dials ${where}; others where it is started with --run-target HOST:PORT.`;
}
