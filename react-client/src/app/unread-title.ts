import { formatCount } from '../lib/figures';
import type { ChatTabs } from './chat-tabs';

/** More than this is said to be more than this: a tab of the browser is narrow. */
const MOST_SHOWN = 999;
/** A browser's tab says it soon enough. */
const LOOK_EVERY_MS = 1_000;

/** Says in the page's title how many messages came while one looked at another tab. */
export function showUnreadInTitle(chats: ChatTabs, lookEveryMs = LOOK_EVERY_MS): () => void {
  const title = document.title;
  const heard = () =>
    chats.store
      .getSnapshot()
      .tabs.reduce((sum, { session }) => sum + session.store.getSnapshot().heard, 0);
  let heardAtLeaving = 0;
  let timer: ReturnType<typeof setInterval> | undefined;

  const show = () => {
    const unread = heard() - heardAtLeaving;
    const count = unread > MOST_SHOWN ? `${formatCount(MOST_SHOWN)}+` : formatCount(unread);
    document.title = unread > 0 ? `(${count}) ${title}` : title;
  };
  const follow = () => {
    clearInterval(timer);
    heardAtLeaving = heard();
    show();
    if (document.hidden) timer = setInterval(show, lookEveryMs);
  };
  document.addEventListener('visibilitychange', follow);
  follow();
  return () => {
    clearInterval(timer);
    document.removeEventListener('visibilitychange', follow);
    document.title = title;
  };
}
