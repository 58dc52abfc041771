import fc from 'fast-check';

import { PATTERN_KINDS, compilePattern } from '../lib/automation';
import { isVariableName } from '../lib/templates';
import {
  type Collection,
  type ConnectionContent,
  type EnvironmentContent,
  MODES,
  type SavedMessage,
} from '../features/saved/model';
import { lineFrom, nameFrom } from '../features/saved/untrusted';

const text = fc.string({ unit: 'binary', maxLength: 30 }).map((one) => one.toWellFormed());
const name = text.map((one) => nameFrom(one, 'nameless'));
const token = fc.stringMatching(/^[a-z][a-z0-9.-]{0,11}$/);
const message: fc.Arbitrary<SavedMessage> = fc.record({
  name: text.map((one) => nameFrom(one)),
  mode: fc.constantFrom(...MODES),
  text,
});
const pattern = fc
  .record({ kind: fc.constantFrom(...PATTERN_KINDS), text })
  .filter((one) => compilePattern(one).ok);

const value = fc.record({ value: text, secret: fc.boolean() });

export const connections: fc.Arbitrary<ConnectionContent> = fc.record({
  name,
  address: text.map((one) => lineFrom(`ws://h/${one}`)),
  subprotocols: fc.uniqueArray(token, { maxLength: 3 }),
  headers: fc.array(
    fc
      .tuple(token, value)
      .map(([header, one]) => ({ ...one, name: header, value: lineFrom(one.value) })),
    { maxLength: 3 },
  ),
  messages: fc.array(message, { maxLength: 4 }),
  automation: fc.record({
    on: fc.boolean(),
    onOpen: fc.array(message, { maxLength: 2 }),
    heartbeat: fc.option(fc.record({ everySeconds: fc.integer({ min: 1, max: 3_600 }), message })),
    rules: fc.array(fc.record({ when: pattern, send: message }), { maxLength: 3 }),
  }),
});

export const environments: fc.Arbitrary<EnvironmentContent> = fc.record({
  name,
  variables: fc.uniqueArray(
    fc
      .tuple(fc.constantFrom('a', 'b', '__proto__', 'constructor', 'x.y-z', 'token'), value)
      .map(([variable, one]) => ({ name: variable, ...one })),
    { selector: (one) => one.name, maxLength: 4 },
  ),
});

export const collections: fc.Arbitrary<Collection> = fc
  .record({
    name,
    connections: fc.array(connections, { maxLength: 4 }),
    environments: fc.array(environments, { maxLength: 3 }),
  })
  .filter((one) => one.connections.length + one.environments.length > 0)
  .filter((one) =>
    one.environments.every((of) => of.variables.every((variable) => isVariableName(variable.name))),
  );

/** The same without anything that an export hides or an import turns off. */
export function asImported(collection: Collection): Collection {
  return {
    ...collection,
    connections: collection.connections.map((one) => ({
      ...one,
      automation: { ...one.automation, on: false },
    })),
  };
}

export function withoutSecrets(collection: Collection): Collection {
  const open = <One extends { readonly secret: boolean }>(one: One) => ({ ...one, secret: false });
  return {
    ...collection,
    connections: collection.connections.map((one) => ({ ...one, headers: one.headers.map(open) })),
    environments: collection.environments.map((one) => ({
      ...one,
      variables: one.variables.map(open),
    })),
  };
}
