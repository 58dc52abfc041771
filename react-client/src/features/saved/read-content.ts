/** Read connections and environments of our own form: those kept in the browser, and of files. */
import { compilePattern, PATTERN_KINDS } from '../../lib/automation';
import { isVariableName } from '../../lib/templates';
import {
  type ConnectionContent,
  type EnvironmentContent,
  HEARTBEAT_SECONDS,
  MODES,
  MOST,
  NO_AUTOMATION,
  type SavedAutomation,
  type SavedHeader,
  type SavedMessage,
  type SavedRule,
  type SavedVariable,
} from './model';
import type { Notes } from './notes';
import {
  asObject,
  atMost,
  isTrueIn,
  lineFrom,
  listIn,
  nameFrom,
  objectIn,
  own,
  textIn,
  type Untrusted,
} from './untrusted';

/** Names of subprotocols and of headers: a token, RFC 9110 section 5.6.2. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** `null` for what is no connection at all; what of it is wrong is left out and noted. */
export function readConnection(value: unknown, notes: Notes): ConnectionContent | null {
  const connection = asObject(value);
  if (connection === null || typeof own(connection, 'address') !== 'string') {
    notes.add('connections without an address', asObject(value) === null ? '' : nameOf(value));
    return null;
  }
  const address = readAddress(textIn(connection, 'address'));
  const name = nameFrom(textIn(connection, 'name'), address === '' ? 'Without a name' : address);
  if (address.length > MOST.addressCharacters) {
    notes.add('connections whose address is too long', name);
    return null;
  }
  return {
    name,
    address,
    subprotocols: readSubprotocols(listIn(connection, 'subprotocols'), notes),
    headers: readHeaders(listIn(connection, 'headers'), notes),
    messages: readMessages(listIn(connection, 'messages'), MOST.messages, notes),
    automation: readAutomation(objectIn(connection, 'automation'), notes),
  };
}

/** An address as it is kept: one line, without the spaces around it. */
export function readAddress(text: string): string {
  return lineFrom(text);
}

export function readEnvironment(value: unknown, notes: Notes): EnvironmentContent | null {
  const environment = asObject(value);
  if (environment === null) {
    notes.add('environments that are no object');
    return null;
  }
  const name = nameFrom(textIn(environment, 'name'), 'Without a name');
  return { name, variables: readVariables(listIn(environment, 'variables'), notes) };
}

export function readSubprotocols(list: readonly unknown[], notes: Notes): readonly string[] {
  const names = list.filter((one) => typeof one === 'string');
  const fit = names.filter((one, index) => TOKEN.test(one) && names.indexOf(one) === index);
  if (fit.length < list.length) {
    const wrong = names.find((one) => !TOKEN.test(one)) ?? '';
    notes.add('subprotocols that cannot be offered', nameFrom(wrong), list.length - fit.length);
  }
  return atMost(fit, MOST.subprotocols, notes, 'subprotocols beyond the fiftieth');
}

export function readHeaders(list: readonly unknown[], notes: Notes): readonly SavedHeader[] {
  const headers = list.flatMap((one): SavedHeader[] => {
    const header = asObject(one);
    const name = header === null ? '' : textIn(header, 'name').trim();
    const value = header === null ? '' : textIn(header, 'value');
    // A line break in a header would begin the next one.
    if (!TOKEN.test(name) || /[\r\n\0]/.test(value) || value.length > MOST.valueCharacters) {
      notes.add('headers that cannot be sent', nameFrom(name));
      return [];
    }
    return [
      { name, value: lineFrom(value), secret: header !== null && isTrueIn(header, 'secret') },
    ];
  });
  return atMost(headers, MOST.headers, notes, 'headers beyond the hundredth');
}

export function readMessages(
  list: readonly unknown[],
  most: number,
  notes: Notes,
): readonly SavedMessage[] {
  const messages = list.flatMap((one) => readMessage(asObject(one), notes) ?? []);
  return atMost(messages, most, notes, `messages beyond ${String(most)} of a connection`);
}

export function readMessage(message: Untrusted | null, notes: Notes): SavedMessage | null {
  const mode = MODES.find((one) => message !== null && one === own(message, 'mode'));
  if (message === null || mode === undefined || typeof own(message, 'text') !== 'string') {
    notes.add('messages that are neither text nor JSON nor binary');
    return null;
  }
  const name = nameFrom(textIn(message, 'name'));
  const text = textIn(message, 'text').toWellFormed();
  if (text.length > MOST.messageCharacters) {
    notes.add('messages that are too long', name);
    return null;
  }
  return { name, mode, text };
}

export function readVariables(list: readonly unknown[], notes: Notes): readonly SavedVariable[] {
  const seen = new Set<string>();
  const variables = list.flatMap((one): SavedVariable[] => {
    const variable = asObject(one);
    const name = variable === null ? '' : textIn(variable, 'name');
    if (variable === null || !isVariableName(name) || name.length > MOST.nameCharacters) {
      notes.add('variables whose name cannot stand in {{…}}', nameFrom(name));
      return [];
    }
    const value = textIn(variable, 'value').toWellFormed();
    if (value.length > MOST.valueCharacters) {
      notes.add('variables whose value is too long', name);
      return [];
    }
    if (seen.has(name)) {
      notes.add('variables of which there is another of that name', name);
      return [];
    }
    seen.add(name);
    return [{ name, value, secret: isTrueIn(variable, 'secret') }];
  });
  return atMost(variables, MOST.variables, notes, 'variables beyond 500 of an environment');
}

function readAutomation(automation: Untrusted | null, notes: Notes): SavedAutomation {
  if (automation === null) return NO_AUTOMATION;
  const rules = listIn(automation, 'rules').flatMap((one) => readRule(asObject(one), notes) ?? []);
  return {
    on: isTrueIn(automation, 'on'),
    onOpen: readMessages(listIn(automation, 'onOpen'), MOST.onOpen, notes),
    heartbeat: readHeartbeat(own(automation, 'heartbeat'), notes),
    rules: atMost(rules, MOST.rules, notes, 'reply rules beyond the fiftieth'),
  };
}

function readHeartbeat(value: unknown, notes: Notes): SavedAutomation['heartbeat'] {
  if (value === null || value === undefined) return null;
  const heartbeat = asObject(value);
  const everySeconds = heartbeat === null ? undefined : own(heartbeat, 'everySeconds');
  const message = heartbeat === null ? null : readMessage(objectIn(heartbeat, 'message'), notes);
  if (typeof everySeconds !== 'number' || !isHeartbeatInterval(everySeconds) || message === null) {
    notes.add('heartbeats without a message or an interval');
    return null;
  }
  return { everySeconds, message };
}

export function isHeartbeatInterval(seconds: number): boolean {
  return seconds >= HEARTBEAT_SECONDS.least && seconds <= HEARTBEAT_SECONDS.most;
}

function readRule(rule: Untrusted | null, notes: Notes): SavedRule | null {
  const when = rule === null ? null : objectIn(rule, 'when');
  const kind = PATTERN_KINDS.find((one) => when !== null && one === own(when, 'kind'));
  const text = when === null ? '' : textIn(when, 'text');
  const send = rule === null ? null : readMessage(objectIn(rule, 'send'), notes);
  const pattern = kind === undefined ? null : { kind, text };
  const isLong = text.length > MOST.valueCharacters;
  if (pattern === null || send === null || isLong || !compilePattern(pattern).ok) {
    notes.add('reply rules that cannot be followed', nameFrom(text.slice(0, 100)));
    return null;
  }
  return { when: pattern, send };
}

function nameOf(value: unknown): string {
  const object = asObject(value);
  return object === null ? '' : nameFrom(textIn(object, 'name'));
}
