/** The saved work of this page: what of it a chat needs to connect and to send. */
import { readDraft } from '../features/conversation/composer-draft';
import { Library } from '../features/saved/library';
import {
  hasAutomation,
  type SavedAutomation,
  type SavedMessage,
  titleOf,
} from '../features/saved/model';
import { openRecords } from '../features/saved/records';
import type { Automation } from '../lib/automation';
import type { Outgoing } from '../lib/send-plan';
import { fillVariables, type Fillings, fillWords, isTemplate } from '../lib/templates';

export const library = new Library();

let reading: Promise<void> | undefined;

/** Reads what the browser keeps, once. */
export function libraryRead(): Promise<void> {
  reading ??= library.load(openRecords);
  return reading;
}

export type Prepared<Value> =
  | { readonly ok: true; readonly value: Value }
  /** `problem` is one line. */
  | { readonly ok: false; readonly problem: string };

interface ConnectionAsked {
  /** As typed. */
  readonly address: string;
  /** Of the saved connection that is open in the chat; empty for none. */
  readonly savedId: string;
  /** The number of the chat, from 0. */
  readonly conn: number;
  /** Whether the console dials: else there is nobody to send headers. */
  readonly isDialled: boolean;
}

interface PreparedConnection {
  readonly url: string;
  /** What the connection sends by itself. */
  readonly automation: Automation | undefined;
  /** What the console sends with the handshake, where it dials. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** What is connected to, and what is sent with that and then. */
export async function prepareConnection(
  asked: ConnectionAsked,
): Promise<Prepared<PreparedConnection>> {
  await libraryRead();
  const fillings = fillingsFor(asked.conn);
  const address = fillVariables(asked.address, fillings);
  if (!address.ok) return { ok: false, problem: `In the address, ${address.problem}` };
  const url = fillWords(address.text, 0);
  const saved = library.connection(asked.savedId)?.content;
  const own = fillVariables(saved?.address ?? '', fillings);
  const automation = saved?.automation;
  // What is sent by itself, a login among it, is for the host that it was saved with. So are headers.
  const isItsHost = own.ok && hostOf(fillWords(own.text, 0)) === hostOf(url);
  const headers: (readonly [string, string])[] = [];
  for (const { name, value } of isItsHost && asked.isDialled ? (saved?.headers ?? []) : []) {
    const filled = filledIn(value, fillings);
    if (!filled.ok) return { ok: false, problem: `In the header ${name}, ${filled.problem}` };
    headers.push([name, fillWords(filled.value, 0)]);
  }
  if (automation?.on !== true || !hasAutomation(automation) || !isItsHost) {
    return { ok: true, value: { url, automation: undefined, headers } };
  }
  const prepared = prepareAutomation(automation, fillings);
  return prepared.ok ? { ok: true, value: { url, automation: prepared.value, headers } } : prepared;
}

function hostOf(address: string): string | null {
  try {
    return new URL(address).host;
  } catch {
    return null;
  }
}

class Unready extends Error {}

/** Fills in the variables of all that is sent by itself; words are filled in when it is sent. */
export function prepareAutomation(
  { onOpen, heartbeat, rules }: SavedAutomation,
  fillings: Fillings,
): Prepared<Automation> {
  const ready = (where: string, message: SavedMessage): Outgoing => {
    const { mode, text } = message;
    const read: Prepared<Outgoing> = mode === 'binary' ? bytesOf(text) : filledIn(text, fillings);
    if (read.ok) return read.value;
    throw new Unready(`${where} “${titleOf(message)}”: ${read.problem}`);
  };
  try {
    return {
      ok: true,
      value: {
        onOpen: onOpen.map((message) => ready('Sent on opening,', message)),
        heartbeat: heartbeat && {
          data: ready('The heartbeat', heartbeat.message),
          intervalMs: heartbeat.everySeconds * 1000,
        },
        rules: rules.map(({ when, send }, index) => {
          const rule = `Reply rule ${String(index + 1)}`;
          const wanted = filledIn(when.text, fillings);
          if (!wanted.ok) throw new Unready(`${rule}: ${wanted.problem}`);
          return { when: { ...when, text: wanted.value }, send: ready(`${rule},`, send) };
        }),
      },
    };
  } catch (error) {
    if (error instanceof Unready) return { ok: false, problem: error.message };
    throw error;
  }
}

function bytesOf(text: string): Prepared<Outgoing> {
  const read = readDraft({ mode: 'binary', text });
  return read.ok ? { ok: true, value: read.data } : read;
}

function filledIn(text: string, fillings: Fillings): Prepared<string> {
  const filled = fillVariables(text, fillings);
  return filled.ok ? { ok: true, value: filled.text } : filled;
}

/** Of each chat: how many messages were filled in, and which was refused last. */
const chats = new Map<number, { filled: number; refused: string | null }>();

/**
 * A message that was typed, filled in. One that names what is no variable is refused, and goes as
 * it is when it is sent again.
 */
export async function prepareMessage(chat: number, text: string): Promise<Prepared<string>> {
  if (!isTemplate(text)) return { ok: true, value: text };
  await libraryRead();
  const state = chats.get(chat) ?? { filled: 0, refused: null };
  chats.set(chat, state);
  const filled = fillVariables(text, fillingsFor(chat));
  if (filled.ok) {
    state.refused = null;
    return { ok: true, value: fillWords(filled.text, state.filled++) };
  }
  if (state.refused === text) {
    state.refused = null;
    return { ok: true, value: text };
  }
  state.refused = text;
  return { ok: false, problem: `${filled.problem} Send again to send it as it is.` };
}

/** The text of a message that is repeated: its words are filled in each time. */
export async function prepareRepeated(chat: number, text: string): Promise<Prepared<string>> {
  if (!isTemplate(text)) return { ok: true, value: text };
  await libraryRead();
  return filledIn(text, fillingsFor(chat));
}

function fillingsFor(conn: number): Fillings {
  const { chosen } = library.store.getSnapshot();
  const variables = chosen?.content.variables ?? [];
  return { variables: new Map(variables.map(({ name, value }) => [name, value])), conn };
}
