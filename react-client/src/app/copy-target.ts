import { readSubprotocols } from '../features/connection/subprotocols';
import type { CopyTarget } from '../features/conversation/copy-as';
import type { ChatSnapshot } from './chat-session';

/** Where the messages of a chat go; `null` before its first connection. */
export function copyTargetOf(
  { connection }: Pick<ChatSnapshot, 'connection'>,
  typedSubprotocols: string,
): CopyTarget | null {
  const url =
    connection.phase === 'closed'
      ? connection.report.url
      : 'url' in connection
        ? connection.url
        : null;
  if (url === null) return null;
  const offered = readSubprotocols(typedSubprotocols);
  return { url, subprotocols: offered.ok ? offered.names : [] };
}
