export type Subprotocols =
  | { readonly ok: true; readonly names: readonly string[] }
  | { readonly ok: false; readonly problem: string };

/** A token, RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** Reads `graphql-ws, mqtt`: names to offer, the favourite first. */
export function readSubprotocols(typed: string): Subprotocols {
  const names = typed.split(/[\s,]+/).filter((name) => name !== '');
  const faulty = names.find((name) => !TOKEN.test(name));
  if (faulty !== undefined) {
    return { ok: false, problem: `“${faulty}” cannot be a subprotocol’s name.` };
  }
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) return { ok: false, problem: `“${repeated}” stands there twice.` };
  return { ok: true, names };
}
