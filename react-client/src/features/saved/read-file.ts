/** Read a file that somebody chose, whatever tool it is from. */
import { FORMAT, readCollection } from './collection-file';
import { type Collection, type ConnectionContent, hasAutomation, MOST } from './model';
import { type Note, Notes } from './notes';
import { isHar, readHar } from './read-har';
import {
  isHoppscotchCollection,
  isHoppscotchEnvironment,
  isHoppscotchRealtime,
  readHoppscotchCollection,
  readHoppscotchEnvironment,
  readHoppscotchRealtime,
} from './read-hoppscotch';
import {
  isPostmanCollection,
  isPostmanDump,
  isPostmanEnvironment,
  readPostmanCollection,
  readPostmanDump,
  readPostmanEnvironment,
} from './read-postman';
import { readConnection, readEnvironment } from './read-content';
import { asObject, own, type Untrusted } from './untrusted';

export type FileReading =
  | {
      readonly ok: true;
      /** Such as “Postman collection”. */
      readonly from: string;
      readonly collection: Collection;
      /** What was left aside, or changed. */
      readonly notes: readonly Note[];
    }
  /** `problem` is one line. */
  | { readonly ok: false; readonly problem: string };

interface Form {
  readonly from: string;
  readonly is: (file: Untrusted) => boolean;
  readonly read: (file: Untrusted, notes: Notes) => Collection | { readonly problem: string };
}

/** The first that fits: those that say what they are come before those told by their keys. */
const FORMS: readonly Form[] = [
  {
    from: 'echo-trio collection',
    is: (file) => own(file, 'format') === FORMAT,
    read: readCollection,
  },
  { from: 'HAR', is: isHar, read: readHar },
  { from: 'Postman collection', is: isPostmanCollection, read: readPostmanCollection },
  { from: 'Postman environment', is: isPostmanEnvironment, read: readPostmanEnvironment },
  { from: 'Hoppscotch collection', is: isHoppscotchCollection, read: readHoppscotchCollection },
  { from: 'Hoppscotch realtime request', is: isHoppscotchRealtime, read: readHoppscotchRealtime },
  { from: 'Hoppscotch environment', is: isHoppscotchEnvironment, read: readHoppscotchEnvironment },
  { from: 'Postman data', is: isPostmanDump, read: readPostmanDump },
];

const NOTHING_KNOWN =
  'Neither a collection of this page, nor one of Hoppscotch or Postman, nor a HAR file.';

/**
 * Read a file of any form that we know. Nothing that stands in it is trusted, nothing is left out
 * without a note, and nothing in it will be sent by itself before one has turned it on.
 */
export function readFileText(text: string): FileReading {
  let file: unknown;
  try {
    file = JSON.parse(text.replace(/^\ufeff/, ''));
  } catch {
    return { ok: false, problem: 'This file is not JSON.' };
  }
  const notes = new Notes();
  // Hoppscotch exports lists, of collections or of environments.
  const parts = Array.isArray(file) ? (file as unknown[]) : [file];
  const read: { readonly from: string; readonly collection: Collection }[] = [];
  for (const part of parts) {
    const object = asObject(part);
    const form = object === null ? undefined : FORMS.find(({ is }) => is(object));
    if (object === null || form === undefined) {
      notes.add('parts of a form that is not known');
      continue;
    }
    const collection = form.read(object, notes);
    if ('problem' in collection) return { ok: false, problem: collection.problem };
    read.push({ from: form.from, collection });
  }
  const [first] = read;
  if (first === undefined) return { ok: false, problem: NOTHING_KNOWN };
  // Once more by our own rules, whoever has read it: no reader can forget a bound.
  const connections = read
    .flatMap(({ collection }) => collection.connections)
    .flatMap((one) => readConnection(one, notes) ?? []);
  const environments = read
    .flatMap(({ collection }) => collection.environments)
    .flatMap((one) => readEnvironment(one, notes) ?? []);
  if (connections.length === 0 && environments.length === 0) {
    return { ok: false, problem: `In this ${first.from} is no WebSocket${countedIn(notes)}.` };
  }
  return {
    ok: true,
    from: first.from,
    collection: {
      name: first.collection.name,
      connections: within(MOST.connections, connections, 'connections', notes).map((one) =>
        turnedOff(one, notes),
      ),
      environments: within(MOST.environments, environments, 'environments', notes),
    },
    notes: notes.all(),
  };
}

/** Who opens a connection of somebody else's should first have seen what it says by itself. */
function turnedOff(connection: ConnectionContent, notes: Notes): ConnectionContent {
  const { automation, name } = connection;
  if (!automation.on) return connection;
  if (hasAutomation(automation)) {
    notes.add('connections that send by themselves: turned off until you turn them on', name);
  }
  return { ...connection, automation: { ...automation, on: false } };
}

function within<Item>(
  most: number,
  items: readonly Item[],
  what: string,
  notes: Notes,
): readonly Item[] {
  if (items.length > most) {
    notes.add(`${what} beyond ${String(most)} of a file`, '', items.length - most);
  }
  return items.slice(0, most);
}

function countedIn(notes: Notes): string {
  const listed = notes.all().map(({ what, count }) => `${String(count)} × ${what}`);
  return listed.length === 0 ? '' : `, but ${listed.join(', ')}`;
}
