import { beforeEach, describe, expect, it } from 'vitest';

import { forget } from '../../lib/remembered';
import { freeName, Library } from './library';
import { type ConnectionContent, NEW_CONNECTION } from './model';
import { MemoryRecords, NoRoom, type Records } from './records';

beforeEach(() => {
  forget('echo-trio.environment');
});

const named = (name: string): ConnectionContent => ({
  ...NEW_CONNECTION,
  name,
  address: 'ws://h/',
});

/** Two tabs of a browser, which keep the same. */
async function twoTabs() {
  const listeners: (() => void)[] = [];
  const kept = new MemoryRecords();
  const records: Records = {
    isKept: true,
    readAll: kept.readAll,
    write: kept.write,
    onElsewhere: (listener) => listeners.push(listener),
  };
  const tabs = [new Library(), new Library()] as const;
  for (const tab of tabs) await tab.load(() => Promise.resolve(records));
  const tell = () => {
    for (const listener of listeners) listener();
  };
  return { tabs, records, tell };
}

const names = (library: Library) =>
  library.store.getSnapshot().connections.map(({ content }) => content.name);

const only = (library: Library) => {
  const [first] = library.store.getSnapshot().connections;
  if (first === undefined) throw new Error('nothing is saved');
  return first;
};

describe('Library', () => {
  it('keeps, renames, duplicates, deletes, and brings back what was deleted', async () => {
    const library = new Library();
    await library.load(() => Promise.reject(new Error('no database')));
    expect(library.store.getSnapshot()).toMatchObject({ isReady: true, isKept: false });
    await library.addConnection(named('chat'));
    await library.addConnection(named('chat'));
    await library.addConnection(named('chat 10'));
    expect(names(library)).toEqual(['chat', 'chat 2', 'chat 10']);
    await library.changeConnection(only(library), named('b'));
    expect(names(library)).toEqual(['b', 'chat 2', 'chat 10']);
    await library.delete('connections', only(library));
    expect(library.store.getSnapshot()).toMatchObject({ deleted: 'b' });
    expect(names(library)).toEqual(['chat 2', 'chat 10']);
    expect(await library.undoDelete()).toMatchObject({ ok: true });
    expect(names(library)).toEqual(['b', 'chat 2', 'chat 10']);
    expect(library.store.getSnapshot().deleted).toBeNull();
    expect(await library.undoDelete()).toMatchObject({ ok: false });
  });

  it('writes nothing over that another tab has changed or deleted', async () => {
    const { tabs } = await twoTabs();
    const [here, there] = tabs;
    await there.addConnection(named('one'));
    const seen = only(there);
    await here.addConnection(named('two'));
    const same = here.connection(seen.id);
    if (same === null) throw new Error('not read');
    await there.changeConnection(seen, named('changed there'));
    const refused = await here.changeConnection(same, named('changed here'));
    expect(refused).toMatchObject({ ok: false, isStale: true });
    expect(await here.delete('connections', same)).toMatchObject({ ok: false, isStale: true });
    // What is there by now is shown, and can be changed.
    expect(names(here)).toEqual(['changed there', 'two']);
    expect(await here.changeConnection(only(here), named('changed here'))).toMatchObject({
      ok: true,
    });
    await there.delete('connections', { ...seen, revision: 3 });
    expect(names(there)).toEqual(['two']);
    expect(await here.changeConnection(only(here), named('x'))).toMatchObject({ isStale: true });
  });

  it('shows what another tab has written', async () => {
    const { tabs, tell } = await twoTabs();
    const [here, there] = tabs;
    await there.addConnection(named('one'));
    expect(names(here)).toEqual([]);
    const shown = new Promise<void>((resolve) => here.store.subscribe(resolve));
    tell();
    await shown;
    expect(names(here)).toEqual(['one']);
  });

  it('leaves what it cannot read where it is, and counts it', async () => {
    const { tabs, records, tell } = await twoTabs();
    const to = { id: 'x', revision: 1, content: { of: 'a later version' } };
    await records.write([{ kind: 'connections', id: 'x', from: null, to }]);
    const shown = new Promise<void>((resolve) => tabs[0].store.subscribe(resolve));
    tell();
    await shown;
    expect(tabs[0].store.getSnapshot()).toMatchObject({ unreadable: 1, connections: [] });
    expect(await records.readAll('connections')).toEqual([to]);
  });

  it('says so when the browser has no room, and keeps what there was', async () => {
    const { tabs, records } = await twoTabs();
    await tabs[0].addConnection(named('one'));
    const full = { ...records, write: () => Promise.reject(new NoRoom()) };
    const library = new Library();
    await library.load(() => Promise.resolve(full));
    const refused = await library.addConnection(named('two'));
    expect(refused).toMatchObject({ ok: false, isStale: false });
    expect(refused.ok ? '' : refused.problem).toContain('no room left');
    expect(names(library)).toEqual(['one']);
  });

  it('takes over all of a file, under names of its own', async () => {
    const library = new Library();
    await library.load(() => Promise.resolve(new MemoryRecords()));
    await library.addConnection(named('a'));
    const environments = [{ name: 'e', variables: [] }];
    const file = { name: 'c', connections: [named('a'), named('a'), named('b')], environments };
    expect(await library.addCollection(file)).toMatchObject({ ok: true });
    expect(names(library)).toEqual(['a', 'a 2', 'a 3', 'b']);
    // There was none before, and the file's connections are about these variables.
    expect(library.store.getSnapshot().chosen?.content.name).toBe('e');
    library.chooseEnvironment(null);
    expect(library.store.getSnapshot().chosen).toBeNull();
  });
});

it('a name that is taken gets the next number', () => {
  const saved = (name: string) => ({ id: name, revision: 1, content: { name } });
  expect(freeName('a 2', [saved('a'), saved('a 2')])).toBe('a 3');
  expect(freeName('a', [])).toBe('a');
});
