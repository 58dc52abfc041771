/**
 * Read what Postman has: collections v2.0 and v2.1 (a WebSocket is a request whose address begins
 * with ws), its collections of several protocols (`ws-raw-request` with `ws-raw-message`s below),
 * environments, and a dump of all of them.
 */
import { fromBase64 } from '../../lib/base64';
import {
  type Collection,
  type ConnectionContent,
  type EnvironmentContent,
  MOST,
  NEW_CONNECTION,
  type SavedMessage,
} from './model';
import type { Notes } from './notes';
import { binaryMessageOf, isCredential, messageOf, withQuery } from './foreign';
import { readAddress, readHeaders, readVariables } from './read-content';
import {
  asObject,
  isTrueIn,
  listIn,
  nameFrom,
  objectIn,
  own,
  textIn,
  type Untrusted,
} from './untrusted';

export function isPostmanCollection(file: Untrusted): boolean {
  const info = objectIn(file, 'info');
  const isV2 = info !== null && Array.isArray(own(file, 'item'));
  return isV2 || (own(file, 'type') === 'collection' && childrenOf(file).length > 0);
}

export function isPostmanEnvironment(file: Untrusted): boolean {
  return Array.isArray(own(file, 'values')) && typeof own(file, 'name') === 'string';
}

export function isPostmanDump(file: Untrusted): boolean {
  const first = asObject(listIn(file, 'collections')[0] ?? listIn(file, 'environments')[0]);
  return first !== null && (isPostmanCollection(first) || isPostmanEnvironment(first));
}

export function readPostmanDump(file: Untrusted, notes: Notes): Collection {
  const parts = [...listIn(file, 'collections'), ...listIn(file, 'environments')].flatMap((one) => {
    const part = asObject(one);
    if (part !== null && isPostmanCollection(part)) return [readPostmanCollection(part, notes)];
    if (part !== null && isPostmanEnvironment(part)) return [readPostmanEnvironment(part, notes)];
    notes.add('parts of the dump of a form that is not known');
    return [];
  });
  return {
    name: 'Postman',
    connections: parts.flatMap(({ connections }) => connections),
    environments: parts.flatMap(({ environments }) => environments),
  };
}

export function readPostmanEnvironment(file: Untrusted, notes: Notes): Collection {
  const name = nameFrom(textIn(file, 'name'), 'Environment');
  const variables = variablesFrom(listIn(file, 'values'), notes);
  return { name, connections: [], environments: [{ name, variables }] };
}

export function readPostmanCollection(file: Untrusted, notes: Notes): Collection {
  const info = objectIn(file, 'info') ?? file;
  const name = nameFrom(textIn(info, 'name') || textIn(info, 'title'), 'Postman');
  const payload = objectIn(file, 'payload') ?? file;
  const list = [...listIn(payload, 'variable'), ...listIn(payload, 'variables')];
  const variables = variablesFrom(list, notes);
  const environments: EnvironmentContent[] = variables.length > 0 ? [{ name, variables }] : [];
  const within: Within = {
    path: '',
    depth: 0,
    auth: objectIn(file, 'auth'),
    known: new Map(variables.map((one) => [one.name, one.value])),
  };
  noteScripts(file, name, notes);
  return { name, connections: readItems(file, within, notes), environments };
}

/** Where in a collection an item stands. */
interface Within {
  /** Of the folders around it. */
  readonly path: string;
  readonly depth: number;
  /** Of the nearest folder that has one. */
  readonly auth: Untrusted | null;
  readonly known: ReadonlyMap<string, string>;
}

function readItems(folder: Untrusted, within: Within, notes: Notes): ConnectionContent[] {
  const children = childrenOf(folder);
  if (within.depth > MOST.depth && children.length > 0) {
    notes.add('folders too deep within others', nameFrom(within.path));
    return [];
  }
  return children.flatMap((one) => {
    const child = asObject(one);
    if (child === null) {
      notes.add('items that are no object', nameFrom(within.path));
      return [];
    }
    const title = textIn(child, 'name') || textIn(child, 'title');
    const name = nameFrom(`${within.path}${title}`, 'Without a name');
    if (!isFolder(child)) return readItem(child, name, within, notes) ?? [];
    noteScripts(child, name, notes);
    const auth = objectIn(child, 'auth') ?? within.auth;
    const inner = { ...within, path: `${name} / `, depth: within.depth + 1, auth };
    return readItems(child, inner, notes);
  });
}

function childrenOf(item: Untrusted): readonly unknown[] {
  return [...listIn(item, 'item'), ...listIn(item, 'children')];
}

function isFolder(item: Untrusted): boolean {
  if (own(item, 'request') !== undefined) return false;
  return Array.isArray(own(item, 'item')) || own(item, 'type') === 'folder';
}

function readItem(
  item: Untrusted,
  name: string,
  { auth, known }: Within,
  notes: Notes,
): ConnectionContent | null {
  const type = textIn(item, 'type');
  if (type === 'ws-raw-request') return readRawRequest(item, name, notes);
  if (type !== '' && type !== 'http-request' && own(item, 'request') === undefined) {
    notes.add(`requests of the kind ${nameFrom(type)}`, name);
    return null;
  }
  const request = asObject(own(item, 'request')) ?? { url: own(item, 'request') };
  const url = objectIn(request, 'url');
  const raw = url === null ? textIn(request, 'url') : rawOf(url);
  const isSocket =
    /^wss?:\/\//i.test(startOf(raw, known)) ||
    /^(?:ws|wss|socket|websocket)$/i.test(textIn(request, 'method'));
  if (!isSocket) {
    notes.add('HTTP requests', name);
    return null;
  }
  noteScripts(item, name, notes);
  const examples = listIn(item, 'response').length;
  if (examples > 0) notes.add('examples of responses', name, examples);
  const authorization = readAuth(objectIn(request, 'auth') ?? auth, name, notes);
  const address = withQuery(pathVariables(raw, url), authorization.query);
  return {
    ...NEW_CONNECTION,
    name,
    address: readAddress(address),
    headers: headersFrom([...authorization.headers, ...listIn(request, 'header')], notes),
    messages: readBody(objectIn(request, 'body'), name, notes),
  };
}

/** As it is written, or put together from its parts. */
function rawOf(url: Untrusted): string {
  const raw = textIn(url, 'raw');
  if (raw !== '') return raw;
  const joined = (key: string, separator: string) => {
    const parts = own(url, key);
    if (!Array.isArray(parts)) return textIn(url, key);
    return parts.filter((one) => typeof one === 'string').join(separator);
  };
  const port = textIn(url, 'port');
  const host = `${joined('host', '.')}${port === '' ? '' : `:${port}`}`;
  const query = listIn(url, 'query').flatMap((one) => {
    const parameter = asObject(one);
    if (parameter === null || isTrueIn(parameter, 'disabled')) return [];
    return [[textIn(parameter, 'key'), textIn(parameter, 'value')] as const];
  });
  return withQuery(`${textIn(url, 'protocol') || 'http'}://${host}/${joined('path', '/')}`, query);
}

/** The address with the variable that it begins with looked up: `{{base}}/chat`. */
function startOf(raw: string, known: ReadonlyMap<string, string>): string {
  return raw
    .trim()
    .replace(/^\{\{([^{}]+)\}\}/, (whole, name: string) => known.get(name.trim()) ?? whole);
}

/** `/room/:id` with what its `id` is. */
function pathVariables(raw: string, url: Untrusted | null): string {
  let address = raw;
  for (const one of url === null ? [] : listIn(url, 'variable')) {
    const variable = asObject(one);
    const name = variable === null ? '' : textIn(variable, 'key') || textIn(variable, 'id');
    const value = variable === null ? '' : textIn(variable, 'value');
    if (name === '' || value === '') continue;
    address = address
      .split('/')
      .map((part) =>
        part.replace(/^:([^?#]*)/, (whole, key: string) => (key === name ? value : whole)),
      )
      .join('/');
  }
  return address;
}

function readBody(body: Untrusted | null, name: string, notes: Notes): readonly SavedMessage[] {
  if (body === null) return [];
  const mode = textIn(body, 'mode');
  if (mode === '' || mode === 'raw') {
    const raw = textIn(body, 'raw');
    return raw === '' ? [] : [messageOf('', raw)];
  }
  notes.add(`bodies of the kind ${nameFrom(mode)}`, name);
  return [];
}

interface Authorization {
  readonly headers: readonly Untrusted[];
  readonly query: readonly (readonly [string, string])[];
}

const NO_AUTHORIZATION: Authorization = { headers: [], query: [] };

/** Bearer and API key, which are a header or a parameter; all else is noted. */
function readAuth(auth: Untrusted | null, name: string, notes: Notes): Authorization {
  const type = auth === null ? '' : textIn(auth, 'type');
  if (auth === null || type === '' || type === 'noauth') return NO_AUTHORIZATION;
  const value = (key: string) => {
    const given = own(auth, type);
    // v2.0 has an object, v2.1 a list of keys and values.
    if (!Array.isArray(given)) return textIn(asObject(given) ?? {}, key);
    const found = given.map(asObject).find((one) => one !== null && own(one, 'key') === key);
    return found == null ? '' : textIn(found, 'value');
  };
  const header = (key: string, text: string) => ({
    headers: [{ key, value: text, secret: true }],
    query: [],
  });
  if (type === 'bearer') return header('Authorization', `Bearer ${value('token')}`);
  if (type === 'apikey') {
    if (value('in') === 'query') return { headers: [], query: [[value('key'), value('value')]] };
    return header(value('key'), value('value'));
  }
  notes.add(`authorizations (${nameFrom(type)}): set the header yourself`, name);
  return NO_AUTHORIZATION;
}

function readRawRequest(item: Untrusted, name: string, notes: Notes): ConnectionContent {
  const payload = objectIn(item, 'payload') ?? item;
  const query = listIn(payload, 'queryParams').flatMap((one) => {
    const parameter = asObject(one);
    if (parameter === null || isTrueIn(parameter, 'disabled')) return [];
    return [[textIn(parameter, 'key'), textIn(parameter, 'value')] as const];
  });
  const url = textIn(payload, 'url');
  if (own(payload, 'settings') !== undefined) notes.add('settings of a request', name);
  const messages = childrenOf(item).flatMap((child) =>
    readRawMessage(asObject(child) ?? {}, notes),
  );
  return {
    ...NEW_CONNECTION,
    name,
    // Where the address has its parameters, they stand in the list once more.
    address: readAddress(url.includes('?') ? url : withQuery(url, query)),
    headers: headersFrom(listIn(payload, 'headers'), notes),
    messages,
  };
}

function readRawMessage(item: Untrusted, notes: Notes): SavedMessage[] {
  const name = nameFrom(textIn(item, 'title') || textIn(item, 'name'));
  const payload = objectIn(item, 'payload') ?? {};
  const content = textIn(payload, 'content');
  if (textIn(item, 'type') !== 'ws-raw-message' || typeof own(payload, 'content') !== 'string') {
    notes.add('messages of a form that is not known', name);
    return [];
  }
  if (textIn(payload, 'type') !== 'binary') return [messageOf(name, content)];
  if (textIn(payload, 'subtype') === 'hex') return [{ name, mode: 'binary', text: content }];
  try {
    return [binaryMessageOf(name, fromBase64(content))];
  } catch {
    notes.add('binary messages that are not base64', name);
    return [];
  }
}

function headersFrom(list: readonly unknown[], notes: Notes) {
  const headers = list.flatMap((one) => {
    const header = asObject(one);
    if (header === null) return [one];
    const name = textIn(header, 'key');
    if (isTrueIn(header, 'disabled')) {
      notes.add('headers that are switched off', nameFrom(name));
      return [];
    }
    const secret = isTrueIn(header, 'secret') || isCredential(name);
    return [{ name, value: textIn(header, 'value'), secret }];
  });
  return readHeaders(headers, notes);
}

function variablesFrom(list: readonly unknown[], notes: Notes) {
  const variables = list.flatMap((one) => {
    const variable = asObject(one);
    if (variable === null) return [one];
    const name = textIn(variable, 'key') || textIn(variable, 'id');
    if (own(variable, 'enabled') === false || isTrueIn(variable, 'disabled')) {
      notes.add('variables that are switched off', nameFrom(name));
      return [];
    }
    return [{ name, value: textIn(variable, 'value'), secret: own(variable, 'type') === 'secret' }];
  });
  return readVariables(variables, notes);
}

function noteScripts(item: Untrusted, name: string, notes: Notes): void {
  for (const one of listIn(item, 'event')) {
    const script = objectIn(asObject(one) ?? {}, 'script') ?? {};
    const lines = own(script, 'exec');
    const text = Array.isArray(lines) ? lines.join('') : textIn(script, 'exec');
    if (text.trim() !== '') notes.add('scripts', name);
  }
}
