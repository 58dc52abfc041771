import { Activity, Suspense, useLayoutEffect, useMemo, useState } from 'react';

import { EchoMark } from '../components/echo-mark';
import { ErrorBoundary } from '../components/error-boundary';
import { OpenedPart } from '../components/opened-part';
import { panelProps, ViewTabs } from '../components/view-tabs';
import { explainCloseCode } from '../features/connection/close-codes';
import { commandsThatStartServer } from '../features/connection/server-commands';
import { DEFAULT_SOCKET_URL } from '../features/connection/socket-url';
import { StartServerHelp } from '../features/connection/start-server-help';
import { PLAN_KEY } from '../features/load/plan-key';
import { LiveFeed } from '../features/server/live-feed';
import { useStore } from '../lib/frame-store';
import { lazyPart } from '../lib/lazy-part';
import { readPlace, type View, VIEWS, writePlace } from '../lib/place';
import { remember, remembered } from '../lib/remembered';
import { colourScheme } from '../lib/theme-watch';
import styles from './app.module.css';
import { chatShortcuts } from './chat-shortcuts';
import type { ChatTabs } from './chat-tabs';
import { ChatView } from './chat-view';
import { IconButton } from './icon-button';
import type { LoadPlace } from './load-page';
import { ShareButton } from './share-button';
import { focusField, type Shortcut, useShortcuts } from './shortcuts';
import { chooseTheme } from './theme';
import { ThemeButton } from './theme-button';
import { goTo, linkTo, usePlace } from './use-place';

// What most visits do not need comes when it is asked for.
const ServerView = lazyPart(() => import('../features/server/server-view'));
const LoadPage = lazyPart(() => import('./load-page'));
const ShortcutsDialog = lazyPart(() => import('./shortcuts-dialog'));

interface AppProps {
  chats: ChatTabs;
  /** Of the server that has served this page; `null` where none has. */
  servedUrl?: string | null;
  feed?: LiveFeed;
}

const CAPTIONS: Readonly<Record<View, string>> = { chat: 'Chat', server: 'Server', load: 'Load' };

const TABS = VIEWS.map((key) => ({ key, caption: CAPTIONS[key] }));

/** The whole page: three views, of which the chat goes on while one looks at another. */
export function App({ chats, servedUrl = null, feed: givenFeed }: AppProps) {
  const { view } = usePlace();
  const [feed] = useState(() => givenFeed ?? new LiveFeed());
  const [load] = useState<LoadPlace>(() => ({}));
  const { active } = useStore(chats.store);
  /** Of the links followed: a new plan makes a new form. */
  const [linksFollowed, setLinksFollowed] = useState(() => {
    followLink(chats, load);
    return 0;
  });
  const [isHelpOpen, setIsHelpOpen] = useState(false);

  const share = async () => {
    const settings = new URLSearchParams(view === 'load' ? (remembered(PLAN_KEY) ?? '') : '');
    const { connection } = active.session;
    const run = view === 'load' ? load.session?.shownInLink : null;
    if (run != null) settings.set('run', run);
    if (view === 'chat') settings.set('url', 'url' in connection ? connection.url : active.address);
    const link = linkTo({ view, settings });
    try {
      await navigator.clipboard.writeText(link);
      return true;
    } catch {
      // Pages served over plain http from another machine have no clipboard: show it instead.
      // Not by going there, which would follow the link.
      history.replaceState(null, '', link);
      return false;
    }
  };

  // What is seen is there to be used: no link, and no key, comes before the page listens.
  useLayoutEffect(() => {
    const follow = () => {
      if (followLink(chats, load)) setLinksFollowed((count) => count + 1);
    };
    addEventListener('hashchange', follow);
    return () => {
      removeEventListener('hashchange', follow);
    };
  }, [chats, load]);

  const tryPath = (path: string) => {
    const known = feed.store.getSnapshot().snapshots.at(-1)?.url ?? servedUrl;
    const server = known ?? DEFAULT_SOCKET_URL;
    const url = new URL(path, server).href;
    goTo('chat');
    void chats.visit(url);
  };

  const shortcuts = useMemo<readonly Shortcut[]>(
    () => [
      ...VIEWS.map((one, index) => {
        const run = () => {
          goTo(one);
        };
        return { key: String(index + 1), does: `Go to ${CAPTIONS[one]}`, run };
      }),
      ...(view === 'chat' ? chatShortcuts(chats) : []),
      { key: 'i', does: 'Type into the view’s first field', run: () => focusField(view) },
      {
        key: 't',
        does: 'Switch between light and dark',
        run: () => chooseTheme(colourScheme() === 'dark' ? 'light' : 'dark'),
      },
      { key: '?', does: 'Show these shortcuts', run: () => setIsHelpOpen(true) },
    ],
    [view, chats],
  );
  useShortcuts(shortcuts);

  return (
    <>
      <div className={styles.page}>
        <header className={styles.header}>
          <h1 className={styles.name}>
            <EchoMark size={22} />
            <span className={styles.wordmark}>echo-trio</span>
          </h1>
          <ViewTabs
            label="Views"
            tabs={TABS}
            selected={view}
            onSelect={goTo}
            className={styles.tabs}
            tabClassName={styles.tab}
          />
          <div className={styles.tools}>
            <ShareButton onShare={share} />
            <span className={styles.forKeyboards}>
              <IconButton label="Keyboard shortcuts" onPress={() => setIsHelpOpen(true)}>
                <rect x="2.5" y="6" width="19" height="12" rx="2" />
                <path d="M6.5 10h.01M10.2 10h.01M13.8 10h.01M17.5 10h.01M8 14h8" />
              </IconButton>
            </span>
            <ThemeButton />
          </div>
        </header>

        <main className={styles.main}>
          <div {...panelProps('chat', view === 'chat')} className={styles.panel}>
            <Activity mode={view === 'chat' ? 'visible' : 'hidden'}>
              <ErrorBoundary part="The chat">
                <ChatView chats={chats} servedUrl={servedUrl} />
              </ErrorBoundary>
            </Activity>
          </div>
          <div {...panelProps('server', view === 'server')} className={styles.panel}>
            {view === 'server' && (
              <ErrorBoundary part="The server view">
                <Suspense fallback={<Loading />}>
                  <ServerView
                    feed={feed}
                    onTry={tryPath}
                    nameCloseCode={(code) => explainCloseCode(code).name}
                    help={<ServerHelp />}
                  />
                </Suspense>
              </ErrorBoundary>
            )}
          </div>
          <div {...panelProps('load', view === 'load')} className={styles.panel}>
            {view === 'load' && (
              <ErrorBoundary part="The load view">
                <Suspense fallback={<Loading />}>
                  <LoadPage
                    key={linksFollowed}
                    place={load}
                    feed={feed}
                    chatLatency={active.session.latency}
                    help={<ServerHelp />}
                  />
                </Suspense>
              </ErrorBoundary>
            )}
          </div>
        </main>
      </div>
      {isHelpOpen && (
        <OpenedPart name="The list of shortcuts" onClose={() => setIsHelpOpen(false)}>
          <ShortcutsDialog shortcuts={shortcuts} onClose={() => setIsHelpOpen(false)} />
        </OpenedPart>
      )}
    </>
  );
}

function Loading() {
  return (
    <p className={styles.loading} role="status">
      Loading…
    </p>
  );
}

function ServerHelp() {
  return (
    <StartServerHelp
      lead="Start a server with its console on this machine:"
      commands={commandsThatStartServer(DEFAULT_SOCKET_URL)}
    />
  );
}

/**
 * Takes over what a link brought along: the chat's address to where one connects, a plan to where
 * the form looks for it, a run to be shown. Returns whether there was anything.
 */
function followLink(chats: ChatTabs, load: LoadPlace): boolean {
  const { view, settings } = readPlace(location.hash);
  if (settings.size === 0) return false;
  // Once: a reload should not undo what one did since.
  history.replaceState(null, '', writePlace({ view, settings: new URLSearchParams() }));
  const address = settings.get('url');
  load.linked = settings.get('run');
  settings.delete('run');
  if (view === 'load' && settings.size > 0) remember(PLAN_KEY, settings.toString());
  if (view === 'chat' && address !== null) chats.propose(address);
  return true;
}
