/**
 * A log as a scenario of the generator. It is what `python -m loadgen record` makes of the same log
 * when it was exported: `tests/recorded.json` holds both to it.
 */
import { pythonHundredths, pythonNumber, pythonString } from '../../lib/python-text';
import { looksLikeJson, readJson } from '../../lib/values/read-json';
import { KIND, type ValueTree } from '../../lib/values/value-tree';
import type { ExportedEntry } from './export-log';

export interface RecordedScenario {
  readonly script: string;
  /** What was taken out of the script, by the columns of secrets.csv; empty if nothing was. */
  readonly secrets: ReadonlyMap<string, string>;
}

/** What a log's line has of it. */
export type LogLine = Pick<ExportedEntry, 'type' | 'at_ms' | 'kind' | 'data' | 'details'>;

/** Where servers put the number of a call, the most usual first. */
const ID_NAMES = ['id', 'requestId', 'request_id', 'reqId', 'seq', 'ref'];
const STEP_NAMES = ['method', 'type', 'event', 'action', 'op'];
/** What is in members and parameters of these names is a secret. */
const SECRET =
  /token|secret|password|passwd|authorization|api[-_]?key|session|credential|cookie|jwt/i;
/** A pause that is shorter is the machine's, and not the user's. */
const LEAST_PAUSE_S = 0.05;
/** A text frame that is longer is not written into the script whole. */
const MOST_LETTERS = 20_000;
const DEEPEST = 500;

/**
 * Write a scenario in which each connection of the log is a user that sends what was sent, in its
 * time; messages whose id came back are requests.
 *
 * @param source what was recorded, for the head of the script.
 * @returns `null` if nothing was said.
 */
export function scenarioOfLog(lines: Iterable<LogLine>, source: string): RecordedScenario | null {
  const secrets = new Secrets();
  const bodies = socketsOf(lines)
    .filter(({ messages }) => messages.length > 0)
    .map((socket) => writeUser(socket, secrets));
  if (bodies.length === 0) return null;
  return { script: writeScript(source, bodies, secrets), secrets: secrets.columns };
}

// -- The log --------------------------------------------------------------------------------

interface Message {
  readonly isSent: boolean;
  readonly timeS: number;
  readonly isBinary: boolean;
  readonly data: string;
}

interface Socket {
  readonly url: string;
  readonly messages: Message[];
}

/** Each `opened` begins another. */
function socketsOf(lines: Iterable<LogLine>): Socket[] {
  const sockets: Socket[] = [];
  for (const { type, at_ms, kind, data, details } of lines) {
    if (type === 'opened' || sockets.length === 0) {
      sockets.push({ url: typeof details?.url === 'string' ? details.url : '/', messages: [] });
    }
    if ((type !== 'sent' && type !== 'received') || data === undefined) continue;
    sockets.at(-1)?.messages.push({
      isSent: type === 'sent',
      timeS: at_ms / 1000,
      isBinary: kind === 'binary',
      data,
    });
  }
  return sockets;
}

// -- What is secret -------------------------------------------------------------------------

class Secrets {
  readonly columns = new Map<string, string>();

  /** Takes a value out; returns the column that stands for it. */
  take(name: string, value: string): string {
    for (const [column, known] of this.columns) if (known === value && value !== '') return column;
    const base = name.replace(/[^\p{L}\p{N}_]+/gu, '_').replace(/^_+|_+$/g, '');
    const plain = base === '' ? 'secret' : base.toLowerCase();
    let column = plain;
    for (let number = 2; this.columns.has(column); number++) column = `${plain}_${String(number)}`;
    this.columns.set(column, value);
    return column;
  }
}

// -- The script -----------------------------------------------------------------------------

function writeScript(source: string, bodies: readonly string[][], { columns }: Secrets): string {
  const has = columns.size > 0;
  const names = [...columns.keys()].join(', ');
  const lines = [
    `"""Recorded: ${firstLetters(source.replace(/[^\p{L}\p{N}_ .-]/gu, '_'), 80)}.`,
    '',
    '    python -m loadgen 1 wss://… --scenario THIS_FILE --trace',
    ...(has ? ['', `secrets.csv needs the columns ${names}, a row a user.`] : []),
    '"""',
    '',
    `from loadgen.scenario import ${has ? 'User, rows, scenario' : 'User, scenario'}`,
    ...(has ? ['', 'secrets = rows("secrets.csv")'] : []),
  ];
  for (const [index, body] of bodies.entries()) {
    const name = bodies.length === 1 ? 'recorded' : `recorded_${String(index + 1)}`;
    lines.push('', '', '@scenario', `async def ${name}(user: User) -> None:`);
    lines.push(...body.map((line) => `    ${line}`));
  }
  return `${lines.join('\n')}\n`;
}

function writeUser({ url, messages: unsorted }: Socket, secrets: Secrets): string[] {
  const messages = [...unsorted].sort((a, b) => a.timeS - b.timeS);
  const lines = [`async with user.connect(${writePath(url, secrets)}) as ws:`];
  const decoded = messages.map(decode);
  const replies = matchReplies(messages, decoded);
  const answering = new Set(replies.values());
  if (messages.some(({ isSent }, place) => !isSent && !answering.has(place))) {
    lines.push('    ws.stream("pushed")  # all that is no reply');
  }
  let beforeS = messages[0]?.timeS ?? 0;
  for (const [place, message] of messages.entries()) {
    if (!message.isSent) continue;
    const pauseS = message.timeS - beforeS;
    if (pauseS >= LEAST_PAUSE_S) lines.push(`    await user.sleep(${pythonHundredths(pauseS)})`);
    beforeS = message.timeS;
    const written = writeSending(message, decoded[place] ?? null, secrets, replies.has(place));
    lines.push(`    ${written}`);
  }
  lines.push('    # Each user does all this again while the load lasts; see also user.pace.');
  return lines;
}

/** Of each message that has an id, by place, the frame that repeats it. */
function matchReplies(
  messages: readonly Message[],
  decoded: readonly (Value | null)[],
): Map<number, number> {
  const found = new Map<number, number>();
  const waiting = new Map<string, number>();
  for (const [place, message] of messages.entries()) {
    const id = idOf(decoded[place] ?? null);
    if (id === null) continue;
    const sent = waiting.get(id.key);
    if (message.isSent) waiting.set(id.key, place);
    else if (sent !== undefined) {
      waiting.delete(id.key);
      found.set(sent, place);
    }
  }
  return found;
}

function writeSending(
  { isBinary, data }: Message,
  value: Value | null,
  secrets: Secrets,
  isRequest: boolean,
): string {
  if (isBinary) {
    const content = pythonString(data.slice(0, MOST_LETTERS));
    return `await ws.send(__import__('base64').b64decode(${content}))`;
  }
  if (value === null || (value.kind !== 'object' && value.kind !== 'array')) {
    // Nobody knows which part is.
    if (SECRET.test(data)) return `await ws.send(secrets[user].${secrets.take('message', data)})`;
    return `await ws.send(${pythonString(firstLetters(data, MOST_LETTERS))})`;
  }
  const id = idOf(value);
  if (isRequest && id !== null && value.kind === 'object') {
    const members = new Map([...value.members].filter(([name]) => name !== id.name));
    // A text alone: inside of anything else there may be a secret.
    const named = STEP_NAMES.map((name) => members.get(name)).find(
      (each) => each?.kind === 'string',
    );
    const step = pythonString(firstLetters(named?.text ?? 'call', 60));
    const rest = writeValue({ kind: 'object', members }, secrets);
    return `await ws.request(${rest}, name=${step}, reply=${pythonString(id.name)})`;
  }
  return `await ws.send(${writeValue(value, secrets)})`;
}

/** As Python counts letters: by code points. */
function firstLetters(text: string, most: number): string {
  return text.length <= most ? text : Array.from(text).slice(0, most).join('');
}

/** Path and query of a URL, with what is secret in the query taken from the user's row. */
function writePath(url: string, secrets: Secrets): string {
  const parts = new URL(url, 'ws://host/');
  const path = parts.pathname === '' ? '/' : parts.pathname;
  const pairs = [...parts.searchParams];
  if (pairs.length === 0) return pythonString(path);
  const written = pairs.map(([name, value]) => {
    const isSecret = value !== '' && SECRET.test(name);
    const shown = isSecret ? `{secrets[user].${secrets.take(name, value)}}` : quoted(value);
    return { isSecret, text: `${quoted(name)}=${shown}` };
  });
  const query = written.map(({ text }) => text).join('&');
  if (!written.some(({ isSecret }) => isSecret)) return pythonString(`${path}?${query}`);
  // In what is formatted, braces stand for something.
  const plain = path.replaceAll('{', '%7B').replaceAll('}', '%7D');
  return `f${pythonString(`${plain}?${query}`)}`;
}

/** As forms encode it. */
function quoted(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}

// -- Values ---------------------------------------------------------------------------------

/** A value of JSON as Python reads it: of a name that stands twice, the last value counts. */
type Value =
  | { readonly kind: 'object'; readonly members: ReadonlyMap<string, Value> }
  | { readonly kind: 'array'; readonly items: readonly Value[] }
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'number' | 'word'; readonly source: string };

/** What no decoder of Python takes: then the text is no JSON. */
class NotDecoded extends Error {}

function decode({ isBinary, data }: Message): Value | null {
  // Of bare texts and numbers nothing is taken out, and none has an id.
  if (isBinary || !looksLikeJson(data)) return null;
  const read = readJson(data);
  if (!read.ok) return null;
  try {
    return valueOf(read.tree, 0, 0);
  } catch (problem) {
    if (problem instanceof NotDecoded) return null;
    throw problem;
  }
}

function valueOf(tree: ValueTree, node: number, depth: number): Value {
  if (depth > DEEPEST) throw new NotDecoded();
  const kind = tree.kind(node);
  const children = () => [...tree.children(node)];
  if (kind === KIND.object) {
    const members = new Map<string, Value>();
    for (const child of children()) {
      members.set(wellFormed(tree.key(child) ?? ''), valueOf(tree, child, depth + 1));
    }
    return { kind: 'object', members };
  }
  if (kind === KIND.array) {
    return { kind: 'array', items: children().map((child) => valueOf(tree, child, depth + 1)) };
  }
  if (kind === KIND.string) return { kind: 'string', text: wellFormed(tree.content(node)) };
  const source = tree.source(node);
  if (kind !== KIND.number) return { kind: 'word', source };
  if (!/^-?\d+$/.test(source) && !Number.isFinite(Number(source))) throw new NotDecoded();
  return { kind: 'number', source };
}

function wellFormed(text: string): string {
  if (/\p{Surrogate}/u.test(text)) throw new NotDecoded();
  return text;
}

interface Id {
  readonly name: string;
  /** The same for equal values of one name. */
  readonly key: string;
}

function idOf(value: Value | null): Id | null {
  if (value?.kind !== 'object') return null;
  for (const name of ID_NAMES) {
    const member = value.members.get(name);
    if (member?.kind === 'string') return { name, key: `${name} "${member.text}` };
    if (member?.kind === 'number' && /^-?\d+$/.test(member.source)) {
      return { name, key: `${name} ${pythonNumber(member.source)}` };
    }
    // To Python they are numbers.
    if (member?.kind === 'word' && member.source !== 'null') {
      return { name, key: `${name} ${member.source === 'true' ? '1' : '0'}` };
    }
  }
  return null;
}

const WORDS: Readonly<Record<string, string>> = { true: 'True', false: 'False', null: 'None' };

/** As Python writes it, with what is secret taken from the user's row. */
function writeValue(value: Value, secrets: Secrets, name = ''): string {
  switch (value.kind) {
    case 'object': {
      const members = [...value.members].map(
        ([key, each]) => `${pythonString(key)}: ${writeValue(each, secrets, key)}`,
      );
      return `{${members.join(', ')}}`;
    }
    case 'array':
      return `[${value.items.map((each) => writeValue(each, secrets, name)).join(', ')}]`;
    case 'string':
      if (value.text === '' || !SECRET.test(name)) return pythonString(value.text);
      return `secrets[user].${secrets.take(name, value.text)}`;
    case 'number':
      return pythonNumber(value.source);
    case 'word':
      return WORDS[value.source] ?? value.source;
  }
}
