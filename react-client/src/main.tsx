import '@fontsource-variable/geist';
import './app/tokens.css';
import './app/page.css';

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { App } from './app/app';
import { ChatTabs } from './app/chat-tabs';
import { showUnreadInTitle } from './app/unread-title';
import { applyRememberedTheme } from './app/theme';
import { ErrorBoundary } from './components/error-boundary';
import { findServedSocketUrl } from './features/connection/served-socket-url';
import { DEFAULT_SOCKET_URL } from './features/connection/socket-url';
import { fetchLazyParts, savesData } from './lib/lazy-part';

applyRememberedTheme();

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no element with the id "root"');

/** How long the first view waits for the console, which may be busy or not be there at all. */
const PATIENCE_MS = 500;

const asked = findServedSocketUrl();
const patience = new Promise<null>((resolve) => setTimeout(() => resolve(null), PATIENCE_MS));
const servedUrl = await Promise.race([asked, patience]);
const chats = new ChatTabs(servedUrl ?? DEFAULT_SOCKET_URL);
// A phone that puts the page away may never bring it back, and tells so in no other way.
addEventListener('pagehide', () => chats.keepLogs());
addEventListener('visibilitychange', () => {
  if (document.hidden) chats.keepLogs();
});
showUnreadInTitle(chats);
const page = createRoot(root);
const show = (served: string | null) => {
  page.render(
    <StrictMode>
      <ErrorBoundary>
        <App chats={chats} servedUrl={served} />
      </ErrorBoundary>
    </StrictMode>,
  );
};
show(servedUrl);
// Of a console that took its time, the page hears all the same.
void asked.then((url) => {
  if (url === null || url === servedUrl) return;
  chats.learnAddress(DEFAULT_SOCKET_URL, url);
  show(url);
});

/** Not in the way of the first view, nor long after it. */
const FETCH_REST_AFTER_MS = 500;
setTimeout(() => {
  // Of what is in this face, the first view has an address or two. The server of the page may go
  // meanwhile, and the page then does with the face that it has.
  import('@fontsource-variable/geist-mono').catch(() => undefined);
  import('./app/forced-colors.css').catch(() => undefined);
  // Who has the browser save data gets each part on opening it.
  if (!savesData()) void fetchLazyParts();
}, FETCH_REST_AFTER_MS);
