/**
 * Read a HAR file, which the network tools of browsers export: each WebSocket in it becomes a
 * connection with the messages that were sent (`_webSocketMessages`, as Chromium has them).
 */
import { fromBase64 } from '../../lib/base64';
import { binaryMessageOf, isCredential, messageOf } from './foreign';
import {
  type Collection,
  type ConnectionContent,
  MOST,
  NEW_CONNECTION,
  type SavedMessage,
} from './model';
import type { Notes } from './notes';
import { readAddress, readHeaders, readSubprotocols } from './read-content';
import {
  asObject,
  listIn,
  nameFrom,
  objectIn,
  objectsOf,
  own,
  textIn,
  type Untrusted,
} from './untrusted';

export function isHar(file: Untrusted): boolean {
  const log = objectIn(file, 'log');
  return log !== null && Array.isArray(own(log, 'entries'));
}

/** What a browser sets itself, for each handshake anew. */
const BY_ITSELF =
  /^(?::.*|host|connection|upgrade|content-length|accept-encoding|sec-websocket-.*|sec-fetch-.*|sec-ch-.*)$/i;

export function readHar(file: Untrusted, notes: Notes): Collection {
  const connections: ConnectionContent[] = [];
  for (const one of listIn(objectIn(file, 'log') ?? {}, 'entries')) {
    const entry = asObject(one);
    const request = entry === null ? null : objectIn(entry, 'request');
    const url = request === null ? '' : socketAddress(textIn(request, 'url'), entry ?? {});
    if (entry === null || request === null || url === null) {
      notes.add('requests over HTTP');
    } else if (connections.length >= MOST.connections) {
      notes.add('connections beyond 1,000');
    } else {
      connections.push(readEntry(entry, request, url, connections.length + 1, notes));
    }
  }
  return { name: 'HAR', connections, environments: [] };
}

/** Some tools write the address of a WebSocket with http. */
function socketAddress(url: string, entry: Untrusted): string | null {
  if (/^wss?:\/\//i.test(url)) return url;
  const isSocket =
    own(entry, '_resourceType') === 'websocket' || Array.isArray(own(entry, '_webSocketMessages'));
  return isSocket && /^https?:\/\//i.test(url) ? url.replace(/^http/i, 'ws') : null;
}

function readEntry(
  entry: Untrusted,
  request: Untrusted,
  url: string,
  number: number,
  notes: Notes,
): ConnectionContent {
  const address = readAddress(url);
  const name = nameFrom(`${hostAndPath(address)} · ${String(number)}`);
  const headers = objectsOf(listIn(request, 'headers'));
  const offered = headers.find((one) => /^sec-websocket-protocol$/i.test(textIn(one, 'name')));
  const names = offered === undefined ? [] : textIn(offered, 'value').split(',');
  const set = headers.filter((one) => !BY_ITSELF.test(textIn(one, 'name')));
  return {
    ...NEW_CONNECTION,
    name,
    address,
    subprotocols: readSubprotocols(
      names.map((one) => one.trim()).filter((one) => one !== ''),
      notes,
    ),
    headers: readHeaders(
      set.map((one) => ({
        name: textIn(one, 'name'),
        value: textIn(one, 'value'),
        secret: isCredential(textIn(one, 'name')),
      })),
      notes,
    ),
    messages: readMessages(own(entry, '_webSocketMessages'), name, notes),
  };
}

/** Those that were sent, each once. */
function readMessages(value: unknown, name: string, notes: Notes): readonly SavedMessage[] {
  if (!Array.isArray(value)) {
    notes.add('connections whose messages the file does not have', name);
    return [];
  }
  const messages: SavedMessage[] = [];
  const seen = new Set<string>();
  for (const one of value as readonly unknown[]) {
    const message = asObject(one);
    const type = message === null ? '' : textIn(message, 'type');
    if (message === null || type !== 'send') {
      notes.add(type === 'receive' ? 'messages that were received' : 'errors and other events');
      continue;
    }
    const read = readSent(message, notes);
    if (read === null) continue;
    const key = `${read.mode} ${read.text}`;
    if (seen.has(key)) {
      notes.add('messages that were sent once more');
    } else if (messages.length >= MOST.messages) {
      notes.add('messages beyond 1000 of a connection', name);
    } else {
      seen.add(key);
      messages.push(read);
    }
  }
  return messages;
}

const OPCODES = { text: 1, binary: 2 } as const;

function readSent(message: Untrusted, notes: Notes): SavedMessage | null {
  const data = textIn(message, 'data');
  const opcode = own(message, 'opcode');
  if (data.length > MOST.messageCharacters) {
    notes.add('messages that are too long');
    return null;
  }
  // Where there is none, it is text: so write the tools that leave it out.
  if (opcode === OPCODES.text || opcode === undefined) return messageOf('', data.toWellFormed());
  if (opcode !== OPCODES.binary) {
    notes.add('frames that are no messages, such as pings');
    return null;
  }
  try {
    return binaryMessageOf('', fromBase64(data));
  } catch {
    notes.add('binary messages that are not base64');
    return null;
  }
}

function hostAndPath(address: string): string {
  return address.replace(/^wss?:\/\//i, '').replace(/\?.*$/s, '');
}
