import { describe, expect, it } from 'vitest';

import { remember, remembered } from '../lib/remembered';
import { startSocketChannel } from '../testing/socket-thread';
import { until } from '../testing/until';
import { startServer } from '../testing/web-socket-server';
import { ChatSession } from './chat-session';
import { ChatTabs, draftKeyOf, MOST_TABS } from './chat-tabs';

const FIRST = 'ws://127.0.0.1:8765/';
const newTabs = () =>
  new ChatTabs(FIRST, () => new ChatSession({ startThread: startSocketChannel }));
const addresses = (chats: ChatTabs) => chats.store.getSnapshot().tabs.map((tab) => tab.address);
const active = (chats: ChatTabs) => chats.store.getSnapshot().active;

describe('ChatTabs', () => {
  it('starts with one, and never has none or too many', () => {
    const chats = newTabs();
    expect(addresses(chats)).toEqual([FIRST]);
    chats.close(active(chats).id);
    expect(addresses(chats)).toEqual([FIRST]);
    for (let more = 0; more < 20; more++) chats.add();
    expect(addresses(chats)).toHaveLength(MOST_TABS);
  });

  it('goes round, and to the neighbour of one that is closed', () => {
    const chats = newTabs();
    for (const path of ['a', 'b']) chats.add(FIRST + path);
    chats.step(1);
    expect(active(chats).address).toBe(FIRST);
    chats.step(-1);
    expect(active(chats).address).toBe(`${FIRST}b`);
    chats.close(active(chats).id);
    expect(active(chats).address).toBe(`${FIRST}a`);
  });

  it('survives a reload: addresses, subprotocols, which is in front', () => {
    const chats = newTabs();
    chats.add(`${FIRST}plain`);
    chats.note(active(chats).id, { subprotocols: 'chat' });
    chats.showSideBySide(true);
    const { tabs, active: front, isSideBySide } = newTabs().store.getSnapshot();
    expect(tabs).toHaveLength(2);
    expect(front).toMatchObject({ address: `${FIRST}plain`, subprotocols: 'chat' });
    expect(isSideBySide).toBe(true);
  });

  it('starts afresh from what it cannot read', () => {
    for (const kept of ['{', '[]', '{"tabs": []}', '{"tabs": [{"address": 1}]}']) {
      localStorage.setItem('echo-trio.chats', kept);
      expect(addresses(newTabs())).toEqual([FIRST]);
    }
  });

  it('puts a proposed address into the field, or beside a connection in use', async () => {
    const server = await startServer(() => undefined);
    const chats = newTabs();
    chats.propose(server.url);
    expect(active(chats)).toMatchObject({ address: server.url, proposals: 1 });
    const { session } = active(chats);
    await session.connect(server.url);
    await until(session.store, ({ connection }) => connection.phase === 'open');
    chats.propose(FIRST);
    expect(addresses(chats)).toEqual([server.url, FIRST]);

    while (addresses(chats).length < MOST_TABS) chats.add();
    const [first, second] = chats.store.getSnapshot().tabs;
    chats.activate(first?.id ?? 0);
    chats.propose(`${FIRST}plain`);
    expect(active(chats)).toMatchObject({ id: second?.id, address: `${FIRST}plain` });
    await server.stop();
  });

  it('keeps each tab’s draft with it over a reload, and none of one that was closed', () => {
    const chats = newTabs();
    chats.add();
    chats.add();
    const [first, second, third] = chats.store.getSnapshot().tabs.map(({ id }) => id);
    for (const id of [first, second, third]) remember(draftKeyOf(id ?? 0), `of ${String(id)}`);
    chats.close(first ?? 0);
    expect(remembered(draftKeyOf(first ?? 0))).toBeNull();

    const reloaded = newTabs();
    expect(reloaded.store.getSnapshot().tabs.map(({ id }) => id)).toEqual([second, third]);
    reloaded.close(third ?? 0);
    reloaded.add();
    expect(remembered(draftKeyOf(active(reloaded).id))).toBeNull();
    expect(remembered(draftKeyOf(second ?? 0))).toBe(`of ${String(second)}`);
  });

  it('says at the address why it could not be visited', async () => {
    const chats = newTabs();
    await chats.visit('https://127.0.0.1/plain');
    expect(active(chats)).toMatchObject({
      address: 'https://127.0.0.1/plain',
      problem: 'https:// is for web pages – did you mean wss://127.0.0.1/plain?',
    });
  });
});
