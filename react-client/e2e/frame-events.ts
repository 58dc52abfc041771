import type { Page } from '@playwright/test';

/** What Playwright keeps behind a page, as far as it is of use here; another version may have none. */
interface Inside {
  readonly _connection?: {
    readonly toImpl?: (page: Page) => {
      readonly delegate?: { readonly _networkManager?: { addSession: () => Promise<void> } };
    };
  };
}

/**
 * Has the browser not tell Playwright of each WebSocket frame, of which the page's threads get a
 * hundred thousand in a flood: that took as much of the CPU as the page did. Nor does it tell of
 * those threads' requests. It holds for connections that are opened from then on.
 */
export function withoutFrameEvents(page: Page): void {
  const inside = (page as unknown as Inside)._connection?.toImpl?.(page);
  const manager = inside?.delegate?._networkManager;
  if (manager !== undefined) manager.addSession = () => Promise.resolve();
}
