import '@fontsource-variable/geist';
import '@fontsource-variable/geist-mono';
import './app/tokens.css';
import './app/page.css';

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';

import { App } from './app/app';
import { ChatTabs } from './app/chat-tabs';
import { applyRememberedTheme } from './app/theme';
import { ErrorBoundary } from './components/error-boundary';
import { findServedSocketUrl } from './features/connection/served-socket-url';
import { fetchLazyParts } from './lib/lazy-part';

applyRememberedTheme();

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no element with the id "root"');

const initialUrl = await findServedSocketUrl();
createRoot(root).render(
  <StrictMode>
    <ErrorBoundary>
      <App chats={new ChatTabs(initialUrl)} initialUrl={initialUrl} />
    </ErrorBoundary>
  </StrictMode>,
);

/** Not in the way of the first view, nor long after it. */
const FETCH_REST_AFTER_MS = 500;
setTimeout(() => void fetchLazyParts(), FETCH_REST_AFTER_MS);
