/** What one asks the console to do for a connection, as typed. */
export interface DialForm {
  readonly origin: string;
  readonly cookie: string;
  /** One a line: `Name: value`. */
  readonly headers: string;
  /** The name of one of the operator's; empty for none. */
  readonly certificate: string;
  readonly insecure: boolean;
  readonly compression: boolean;
}

/** As a browser would dial, with nothing of one's own. */
export const PLAIN_DIAL: DialForm = {
  origin: '',
  cookie: '',
  headers: '',
  certificate: '',
  insecure: false,
  compression: true,
};

/** What `POST /api/dial` takes, but for the address and its subprotocols. */
export interface DialOrder {
  readonly headers: readonly (readonly [string, string])[];
  readonly compression: boolean;
  readonly insecure: boolean;
  readonly certificate: string | null;
}

export type ReadOrder =
  | { readonly ok: true; readonly order: DialOrder }
  | { readonly ok: false; readonly problem: string };

/** A token, RFC 9110 section 5.6.2. */
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Reads a kept form; what is missing, or of another kind, is as in a plain one. */
export function readDialForm(kept: string | null): DialForm {
  let found: Partial<Record<keyof DialForm, unknown>> | null = null;
  try {
    found = JSON.parse(kept ?? 'null') as typeof found;
  } catch {
    // Kept by another version of the page, or not by us at all.
  }
  const text = (name: 'origin' | 'cookie' | 'headers' | 'certificate') => {
    const value = found?.[name];
    return typeof value === 'string' ? value : PLAIN_DIAL[name];
  };
  const choice = (name: 'insecure' | 'compression') => {
    const value = found?.[name];
    return typeof value === 'boolean' ? value : PLAIN_DIAL[name];
  };
  return {
    origin: text('origin'),
    cookie: text('cookie'),
    headers: text('headers'),
    certificate: text('certificate'),
    insecure: choice('insecure'),
    compression: choice('compression'),
  };
}

/** Makes the order of a form, or says which line is no header. */
export function orderOf(form: DialForm): ReadOrder {
  const headers: [string, string][] = [];
  if (form.origin.trim() !== '') headers.push(['Origin', form.origin.trim()]);
  if (form.cookie.trim() !== '') headers.push(['Cookie', form.cookie.trim()]);
  for (const line of form.headers.split('\n')) {
    if (line.trim() === '') continue;
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(0, colon)).trim();
    if (!NAME.test(name)) {
      return { ok: false, problem: `“${line.trim()}” is no header: write it Name: value.` };
    }
    headers.push([name, line.slice(colon + 1).trim()]);
  }
  const { compression, insecure } = form;
  const certificate = form.certificate === '' ? null : form.certificate;
  return { ok: true, order: { headers, compression, insecure, certificate } };
}
