import type { Collection, ConnectionContent, EnvironmentContent, SavedMessage } from './model';
import { MOST } from './model';
import type { Notes } from './notes';
import { readConnection, readEnvironment } from './read-content';
import { atMost, listIn, nameFrom, own, textIn, type Untrusted } from './untrusted';

/** What our own files say of themselves; `docs/reference/collection.md` has the whole form. */
export const FORMAT = 'echo-trio.collection';
export const VERSION = 1;

/** A shorter secret, such as `1`, stands in too many places that have nothing to do with it. */
const SHORTEST_HIDDEN = 6;

export interface CollectionFile {
  readonly text: string;
  /** Values of variables and headers that were left out. */
  readonly secretsLeftOut: number;
  /** Places where a secret's value stood, and its variable stands now. */
  readonly secretsNamed: number;
}

/**
 * Write a collection as one file. The value of what is marked as a secret is left out, and where
 * it stands in an address or a message, its variable stands in its place.
 */
export function writeCollection(collection: Collection): CollectionFile {
  let secretsLeftOut = 0;
  let secretsNamed = 0;
  const secrets = secretsOf(collection.environments);

  const hidden = (text: string): string => {
    let shown = text;
    for (const { name, value } of secrets) {
      const parts = shown.split(value);
      secretsNamed += parts.length - 1;
      shown = parts.join(`{{${name}}}`);
    }
    return shown;
  };
  const kept = <Secret extends { readonly value: string; readonly secret: boolean }>(
    one: Secret,
  ): Secret => {
    if (!one.secret) return { ...one, value: hidden(one.value) };
    // A secret header that merely names a variable tells nobody anything.
    if (one.value === '' || /^(?:[A-Za-z]+ )?\{\{[^{}]+\}\}$/.test(one.value)) return one;
    secretsLeftOut += 1;
    return { ...one, value: '' };
  };
  const message = (one: SavedMessage): SavedMessage => ({ ...one, text: hidden(one.text) });
  const connection = (one: ConnectionContent): ConnectionContent => ({
    ...one,
    address: hidden(one.address),
    headers: one.headers.map(kept),
    messages: one.messages.map(message),
    automation: {
      ...one.automation,
      onOpen: one.automation.onOpen.map(message),
      heartbeat: one.automation.heartbeat && {
        ...one.automation.heartbeat,
        message: message(one.automation.heartbeat.message),
      },
      rules: one.automation.rules.map(({ when, send }) => ({
        when: { ...when, text: hidden(when.text) },
        send: message(send),
      })),
    },
  });
  const environment = (one: EnvironmentContent): EnvironmentContent => ({
    ...one,
    variables: one.variables.map(kept),
  });

  const file = {
    format: FORMAT,
    version: VERSION,
    name: collection.name,
    connections: collection.connections.map(connection),
    environments: collection.environments.map(environment),
  };
  return { text: `${JSON.stringify(file, null, 2)}\n`, secretsLeftOut, secretsNamed };
}

/** The longest first: one may be part of another. */
function secretsOf(environments: readonly EnvironmentContent[]) {
  return environments
    .flatMap(({ variables }) => variables)
    .filter(({ secret, value }) => secret && value.length >= SHORTEST_HIDDEN)
    .sort((a, b) => b.value.length - a.value.length);
}

/** Read one of our own files. `problem` is one line. */
export function readCollection(
  file: Untrusted,
  notes: Notes,
): Collection | { readonly problem: string } {
  const version = own(file, 'version');
  if (version !== VERSION) {
    const known = typeof version === 'number' && Number.isInteger(version);
    const which = known ? `version ${String(version)}` : 'no version that is known';
    return { problem: `This collection has ${which}; this page reads version ${String(VERSION)}.` };
  }
  const connections = listIn(file, 'connections').flatMap(
    (one) => readConnection(one, notes) ?? [],
  );
  const environments = listIn(file, 'environments').flatMap(
    (one) => readEnvironment(one, notes) ?? [],
  );
  for (const key of Object.keys(file)) {
    if (!KEYS.has(key)) notes.add('keys that version 1 does not have', nameFrom(key));
  }
  return {
    name: nameFrom(textIn(file, 'name'), 'Collection'),
    connections: atMost(connections, MOST.connections, notes, 'connections beyond 1,000'),
    environments: atMost(environments, MOST.environments, notes, 'environments beyond 200'),
  };
}

const KEYS = new Set(['format', 'version', 'name', 'connections', 'environments', '$schema']);
