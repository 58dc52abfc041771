/**
 * Read what Hoppscotch exports: collections (a folder or a list of folders, versions 1 to 13),
 * environments, and the request of its realtime page. It writes variables as `<<token>>`.
 */
import { isVariableName } from '../../lib/templates';
import { type Collection, type ConnectionContent, MOST, NEW_CONNECTION } from './model';
import type { Notes } from './notes';
import { isCredential, messageOf, withQuery } from './foreign';
import { readAddress, readHeaders, readSubprotocols, readVariables } from './read-content';
import {
  asObject,
  isTrueIn,
  listIn,
  nameFrom,
  objectIn,
  objectsOf,
  own,
  textIn,
  type Untrusted,
} from './untrusted';

export function isHoppscotchCollection(file: Untrusted): boolean {
  return Array.isArray(own(file, 'folders')) && Array.isArray(own(file, 'requests'));
}

export function isHoppscotchEnvironment(file: Untrusted): boolean {
  return Array.isArray(own(file, 'variables')) && typeof own(file, 'name') === 'string';
}

/** The request of its page for WebSockets, as it is kept in the browser. */
export function isHoppscotchRealtime(file: Untrusted): boolean {
  return typeof own(file, 'endpoint') === 'string' && Array.isArray(own(file, 'protocols'));
}

export function readHoppscotchRealtime(file: Untrusted, notes: Notes): Collection {
  const address = readAddress(variablesOf(textIn(file, 'endpoint')));
  const active = listIn(file, 'protocols').flatMap((one) => {
    const protocol = asObject(one);
    if (protocol === null) return [one];
    return own(protocol, 'active') === false ? [] : [textIn(protocol, 'value')];
  });
  const off = listIn(file, 'protocols').length - active.length;
  if (off > 0) notes.add('subprotocols that are switched off', '', off);
  const subprotocols = readSubprotocols(active, notes);
  const name = nameFrom(address, 'Without a name');
  return {
    name,
    connections: [{ ...NEW_CONNECTION, name, address, subprotocols }],
    environments: [],
  };
}

export function readHoppscotchEnvironment(file: Untrusted, notes: Notes): Collection {
  const name = nameFrom(textIn(file, 'name'), 'Environment');
  return { name, connections: [], environments: [{ name, variables: variablesIn(file, notes) }] };
}

export function readHoppscotchCollection(root: Untrusted, notes: Notes): Collection {
  const name = nameFrom(textIn(root, 'name'), 'Hoppscotch');
  return { name, ...readFolder(root, { path: '', depth: 0, headers: [] }, notes) };
}

/** Where in a collection a folder stands. */
interface Within {
  /** Of the folders around it. */
  readonly path: string;
  readonly depth: number;
  readonly headers: readonly unknown[];
}

function readFolder(folder: Untrusted, within: Within, notes: Notes): Omit<Collection, 'name'> {
  const { path, depth } = within;
  const headers = [...within.headers, ...headersOf(folder, notes)];
  const variables = variablesIn(folder, notes);
  const name = nameFrom(textIn(folder, 'name'), 'Hoppscotch');
  const connections = listIn(folder, 'requests').flatMap(
    (one) => readRequest(one, path, headers, notes) ?? [],
  );
  const environments = variables.length > 0 ? [{ name, variables }] : [];
  const folders = objectsOf(listIn(folder, 'folders'));
  const odd = listIn(folder, 'folders').length - folders.length;
  if (odd > 0) notes.add('folders that are no object', nameFrom(path), odd);
  if (depth > MOST.depth && folders.length > 0) {
    notes.add('folders too deep within others', nameFrom(path));
    return { connections, environments };
  }
  const inner = folders.map((one) => {
    const innerPath = nameFrom(`${path}${textIn(one, 'name')} / `);
    return readFolder(one, { path: `${innerPath} `, depth: depth + 1, headers }, notes);
  });
  return {
    connections: [...connections, ...inner.flatMap((one) => one.connections)],
    environments: [...environments, ...inner.flatMap((one) => one.environments)],
  };
}

function readRequest(
  value: unknown,
  path: string,
  inherited: readonly unknown[],
  notes: Notes,
): ConnectionContent | null {
  const request = asObject(value);
  if (request === null) {
    notes.add('requests that are no object');
    return null;
  }
  const name = nameFrom(`${path}${textIn(request, 'name')}`, 'Without a name');
  const endpoint = textIn(request, 'endpoint');
  if (endpoint === '' && typeof own(request, 'url') === 'string') {
    notes.add('GraphQL requests', name);
    return null;
  }
  if (!/^wss?:\/\//i.test(endpoint)) {
    notes.add('HTTP requests', name);
    return null;
  }
  for (const [key, what] of [
    ['preRequestScript', 'scripts before a request'],
    ['testScript', 'test scripts'],
  ] as const) {
    if (textIn(request, key).trim() !== '') notes.add(what, name);
  }
  const authType = textIn(objectIn(request, 'auth') ?? {}, 'authType');
  if (!['', 'none', 'inherit'].includes(authType)) {
    notes.add(`authorizations (${nameFrom(authType)}): set the header yourself`, name);
  }
  const active = listIn(request, 'params').flatMap((one) => activeOf(one, notes));
  const query = active.map((one) => [textIn(one, 'key'), textIn(one, 'value')] as const);
  const body = objectIn(request, 'body');
  const said = body === null ? '' : variablesOf(textIn(body, 'body'));
  const headers = [...inherited, ...headersOf(request, notes)];
  return {
    ...NEW_CONNECTION,
    name,
    address: readAddress(variablesOf(withQuery(endpoint, query))),
    headers: readHeaders(headers, notes),
    messages: said === '' ? [] : [messageOf('', said)],
  };
}

function headersOf(owner: Untrusted, notes: Notes): readonly unknown[] {
  return listIn(owner, 'headers')
    .flatMap((one) => activeOf(one, notes))
    .map((header) => ({
      name: textIn(header, 'key'),
      value: variablesOf(textIn(header, 'value')),
      secret: isCredential(textIn(header, 'key')),
    }));
}

function activeOf(value: unknown, notes: Notes): Untrusted[] {
  const one = asObject(value);
  if (one === null || textIn(one, 'key') === '') return [];
  if (own(one, 'active') !== false) return [one];
  notes.add('headers and parameters that are switched off', nameFrom(textIn(one, 'key')));
  return [];
}

function variablesIn(owner: Untrusted, notes: Notes) {
  const variables = listIn(owner, 'variables').flatMap((one) => {
    const variable = asObject(one);
    if (variable === null) return [one];
    // What is in use stands in `currentValue`; older files have one value.
    const values = ['currentValue', 'initialValue', 'value'].map((key) => textIn(variable, key));
    const value = variablesOf(values.find((text) => text !== '') ?? '');
    return [{ name: textIn(variable, 'key'), value, secret: isTrueIn(variable, 'secret') }];
  });
  return readVariables(variables, notes);
}

/** `<<token>>` → `{{token}}`. */
function variablesOf(text: string): string {
  return text.replace(/<<([^<>\s]{1,200})>>/g, (whole, name: string) =>
    isVariableName(name) ? `{{${name}}}` : whole,
  );
}
