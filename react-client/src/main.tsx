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
