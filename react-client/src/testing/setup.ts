import '@testing-library/jest-dom/vitest';

import { cleanup, configure } from '@testing-library/react';
import { afterEach, vi } from 'vitest';
import { WebSocket as NodeWebSocket } from 'ws';

// As for a whole test: room for a machine that does other work too.
configure({ asyncUtilTimeout: 50_000 });

afterEach(() => {
  cleanup();
  localStorage.clear();
  sessionStorage.clear();
  vi.useRealTimers();
  history.replaceState(null, '', location.pathname);
  // User events put one there, which jsdom lacks.
  Reflect.deleteProperty(navigator, 'clipboard');
  delete document.documentElement.dataset.theme;
});

// This runs before each file, and all files of a worker share what it changes.
// jsdom lays nothing out and has no system theme. These stand in for the browser, not for us.
const LAID_OUT_HEIGHT_PX = { content: 2_000, viewport: 600, row: 40 };

Object.defineProperties(HTMLElement.prototype, {
  clientHeight: { configurable: true, get: () => LAID_OUT_HEIGHT_PX.viewport },
  scrollHeight: { configurable: true, get: () => LAID_OUT_HEIGHT_PX.content },
  offsetHeight: { configurable: true, get: () => LAID_OUT_HEIGHT_PX.row },
});

window.ResizeObserver = class {
  observe = () => undefined;
  unobserve = () => undefined;
  disconnect = () => undefined;
};

Element.prototype.scrollTo = function scrollTo(this: Element, options?: unknown) {
  if (typeof options === 'object' && options !== null && 'top' in options) {
    this.scrollTop = Number(options.top);
  }
};

window.matchMedia = (query) =>
  Object.assign(new EventTarget(), {
    matches: false,
    media: query,
    onchange: null,
    addListener: () => undefined,
    removeListener: () => undefined,
  });

/**
 * A real socket with the browser's interface: jsdom's own cannot deliver events under vitest,
 * which mixes the event classes of jsdom and Node.
 */
class BrowserLikeWebSocket extends NodeWebSocket {
  constructor(url: string, protocols?: string[]) {
    super(url, protocols);
    // In Node an error without a listener ends the process; in a browser it does nothing.
    this.on('error', () => undefined);
  }
}

Object.assign(globalThis, { WebSocket: BrowserLikeWebSocket });
