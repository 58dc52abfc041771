import { afterEach, expect, it } from 'vitest';

import { startSocketChannel } from '../testing/socket-thread';
import { until } from '../testing/until';
import { startServer } from '../testing/web-socket-server';
import { ChatSession } from './chat-session';
import { ChatTabs } from './chat-tabs';
import { showUnreadInTitle } from './unread-title';

const lookAway = (isAway: boolean) => {
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => isAway });
  document.dispatchEvent(new Event('visibilitychange'));
};
afterEach(() => {
  Reflect.deleteProperty(document, 'hidden');
});

it('says in the title how many messages came while one looked at another tab', async () => {
  document.title = 'echo-trio';
  let push: (text: string) => void = () => undefined;
  const server = await startServer((client) => {
    push = (text) => {
      client.send(text);
    };
  });
  const publishAtOnce = (publish: () => void) => {
    publish();
  };
  const session = new ChatSession({ startThread: startSocketChannel, schedule: publishAtOnce });
  const chats = new ChatTabs(server.url, () => session);
  const stop = showUnreadInTitle(chats, 5);
  const titleIs = async (title: string) => {
    while (document.title !== title) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  await session.connect(server.url);
  push('seen');
  await until(session.store, ({ heard }) => heard === 1);
  expect(document.title).toBe('echo-trio');
  lookAway(true);
  push('one');
  push('two');
  await titleIs('(2) echo-trio');
  lookAway(false);
  expect(document.title).toBe('echo-trio');
  stop();
  session.disconnect();
  await server.stop();
});
