import { doesReconnect } from '../features/connection/reconnect-choice';
import { AUTO, matchingText, readMatching } from '../features/conversation/matching';
import { FrameStore, type Store } from '../lib/frame-store';
import { forget, remember, remembered } from '../lib/remembered';
import { keptInTab, keepInTab } from '../lib/kept-in-tab';
import { ChatSession } from './chat-session';

/** One connection of several, with what its fields hold. */
export interface ChatTab {
  /** The same after a reload; what else is kept of a tab goes by it. */
  readonly id: number;
  readonly session: ChatSession;
  readonly address: string;
  /** Rises when the address was set from elsewhere, and the field has to follow. */
  readonly proposals: number;
  /** Why it could not connect to an address set from elsewhere; `null` where it could. */
  readonly problem: string | null;
  readonly subprotocols: string;
  /** How replies find their messages, as `matchingText` writes it. */
  readonly matching: string;
  /** The saved connection that is open in it; empty for none. */
  readonly savedId: string;
}

/** What the fields of a tab hold. */
export type TabFields = Partial<Pick<ChatTab, 'address' | 'subprotocols' | 'matching' | 'savedId'>>;

export interface TabsSnapshot {
  /** Never empty. */
  readonly tabs: readonly ChatTab[];
  readonly active: ChatTab;
  readonly isSideBySide: boolean;
}

const STORAGE_KEY = 'echo-trio.chats';

/** Under which the draft of a tab is remembered. */
export function draftKeyOf(id: number): string {
  return `echo-trio.draft.${String(id)}`;
}

/** Under which the log of a tab is kept for the page after a reload. */
function logKeyOf(id: number): string {
  return `echo-trio.log.${String(id)}`;
}

/** Under which a tab keeps how its connections are dialled, for this tab of the browser alone. */
export function throughKeyOf(id: number): string {
  return `echo-trio.through.${String(id)}`;
}

/** More would not fit beside each other, nor into anyone's head. */
export const MOST_TABS = 8;

/** The chats of the page: which there are, and which is in front. Remembered across reloads. */
export class ChatTabs {
  readonly store: Store<TabsSnapshot>;
  readonly #published: FrameStore<TabsSnapshot>;
  readonly #newSession: () => ChatSession;
  #tabs: ChatTab[];
  #activeId: number;
  #isSideBySide: boolean;
  #nextId: number;

  constructor(firstAddress: string, newSession: () => ChatSession = () => new ChatSession()) {
    this.#newSession = newSession;
    const kept = readKept();
    const tabs = kept?.tabs ?? [{ id: 1, address: firstAddress, ...EMPTY_TAB }];
    this.#tabs = tabs.map((one) => this.#newTab(one));
    this.#nextId = Math.max(...tabs.map(({ id }) => id)) + 1;
    this.#activeId = (this.#tabs[kept?.active ?? 0] ?? this.#first).id;
    this.#isSideBySide = kept?.isSideBySide ?? false;
    this.#published = new FrameStore(
      () => this.#snapshot(),
      (publish) => {
        publish();
      },
    );
    this.store = this.#published;
  }

  add(address = this.#active.address, fields: TabFields = {}): void {
    if (this.#tabs.length >= MOST_TABS) return;
    const id = this.#nextId++;
    const tab = this.#newTab({ id, address, ...EMPTY_TAB, ...fields });
    this.#tabs = [...this.#tabs, tab];
    this.#activeId = tab.id;
    this.#changed();
  }

  close(id: number): void {
    const index = this.#tabs.findIndex((tab) => tab.id === id);
    const closed = this.#tabs[index];
    if (closed === undefined || this.#tabs.length === 1) return;
    closed.session.end();
    forget(draftKeyOf(id));
    keepInTab(logKeyOf(id), null);
    keepInTab(throughKeyOf(id), null);
    this.#tabs = this.#tabs.filter((tab) => tab !== closed);
    if (this.#activeId === id) {
      this.#activeId = (this.#tabs[Math.min(index, this.#tabs.length - 1)] ?? this.#first).id;
    }
    this.#changed();
  }

  activate(id: number): void {
    if (this.#activeId === id) return;
    this.#activeId = id;
    this.#changed();
  }

  /** To the one so many places further, round and round. */
  step(places: number): void {
    const index = this.#tabs.indexOf(this.#active) + places + this.#tabs.length;
    this.activate((this.#tabs[index % this.#tabs.length] ?? this.#first).id);
  }

  showSideBySide(isSideBySide: boolean): void {
    this.#isSideBySide = isSideBySide;
    this.#changed();
  }

  /** Keeps all logs for the page after a reload; what finds no room goes with this page. */
  keepLogs(): void {
    for (const { id, session } of this.#tabs) keepInTab(logKeyOf(id), session.keepLog());
  }

  note(id: number, fields: TabFields): void {
    this.#tabs = this.#tabs.map((tab) => (tab.id === id ? { ...tab, ...fields } : tab));
    this.#changed();
  }

  /**
   * Puts an address from elsewhere into the field: that in front, unless it is being used. With no
   * room for a further chat, into that of any that is not; with all eight in use, nowhere.
   */
  propose(address: string, fields: TabFields = {}): void {
    const isFree = ({ session: { connection } }: ChatTab) =>
      connection.phase === 'idle' || connection.phase === 'closed';
    const isFull = this.#tabs.length >= MOST_TABS;
    const free = [this.#active, ...(isFull ? this.#tabs : [])].find(isFree);
    if (free === undefined) {
      this.add(address, fields);
      return;
    }
    this.#activeId = free.id;
    this.note(free.id, fields);
    this.#follow(free.id, address);
  }

  /**
   * Takes a better address for one that was but assumed, wherever nothing was done with it yet.
   * A field that one has typed into keeps what was typed.
   */
  learnAddress(assumed: string, address: string): void {
    this.#tabs = this.#tabs.map((tab) =>
      tab.address === assumed && tab.session.connection.phase === 'idle'
        ? { ...tab, address }
        : tab,
    );
    this.#changed();
  }

  /** Connects the chat in front to another address; where that cannot be, its field says why. */
  async visit(address: string): Promise<void> {
    const { id, session, subprotocols } = this.#active;
    this.#follow(id, address);
    const outcome = await session.reconnect(address, {
      subprotocols,
      reconnects: doesReconnect(),
    });
    if (!outcome.ok) this.#follow(id, address, outcome.problem);
  }

  #follow(id: number, address: string, problem: string | null = null): void {
    this.#tabs = this.#tabs.map((tab) =>
      tab.id === id ? { ...tab, address, problem, proposals: tab.proposals + 1 } : tab,
    );
    this.#changed();
  }

  #newTab(kept: KeptTab): ChatTab {
    const session = this.#newSession();
    session.restoreLog(keptInTab(logKeyOf(kept.id)));
    session.setMatching(readMatching(kept.matching));
    session.dialThrough(keptInTab(throughKeyOf(kept.id)));
    return { ...kept, session, proposals: 0, problem: null };
  }

  get #active(): ChatTab {
    return this.#tabs.find(({ id }) => id === this.#activeId) ?? this.#first;
  }

  get #first(): ChatTab {
    const [first] = this.#tabs;
    if (first === undefined) throw new Error('there is always one chat');
    return first;
  }

  #changed(): void {
    const kept: Kept = {
      tabs: this.#tabs.map(({ id, address, subprotocols, matching, savedId }) => ({
        id,
        address,
        subprotocols,
        matching,
        savedId,
      })),
      active: this.#tabs.indexOf(this.#active),
      isSideBySide: this.#isSideBySide,
    };
    remember(STORAGE_KEY, JSON.stringify(kept));
    this.#published.markChanged();
  }

  #snapshot(): TabsSnapshot {
    return { tabs: this.#tabs, active: this.#active, isSideBySide: this.#isSideBySide };
  }
}

type KeptTab = Pick<ChatTab, 'id' | 'address' | 'subprotocols' | 'matching' | 'savedId'>;

const EMPTY_TAB = { subprotocols: '', matching: matchingText(AUTO), savedId: '' } as const;

interface Kept {
  readonly tabs: readonly KeptTab[];
  readonly active: number;
  readonly isSideBySide: boolean;
}

function readKept(): Kept | null {
  try {
    const kept = JSON.parse(remembered(STORAGE_KEY) ?? 'null') as Partial<Kept> | null;
    const tabs = (kept?.tabs ?? []).filter(
      (tab) => typeof tab.address === 'string' && typeof tab.subprotocols === 'string',
    );
    if (kept === null || tabs.length === 0) return null;
    const ids = new Set(
      tabs.map(({ id }) => id).filter((id) => Number.isSafeInteger(id) && id > 0),
    );
    const isNumbered = ids.size === tabs.length;
    return {
      tabs: tabs.slice(0, MOST_TABS).map((tab, index) => ({
        id: isNumbered ? tab.id : index + 1,
        address: tab.address,
        subprotocols: tab.subprotocols,
        matching: matchingText(readMatching(tab.matching)),
        // Of a version that kept none, there is none.
        savedId: (tab as Partial<KeptTab>).savedId ?? '',
      })),
      active: Number(kept.active),
      isSideBySide: kept.isSideBySide === true,
    };
  } catch {
    // Kept by another version of the page, or not by us at all.
    return null;
  }
}
