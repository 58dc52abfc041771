import { ConnectionBar } from '../features/connection/connection-bar';
import { ConnectionNotice } from '../features/connection/connection-notice';
import { Welcome } from '../features/connection/welcome';
import { MessageComposer } from '../features/conversation/message-composer';
import { MessageList } from '../features/conversation/message-list';
import { VerdictPanel } from '../features/conversation/verdict-panel';
import { useStore } from '../lib/frame-store';
import type { ChatSession, Outcome } from './chat-session';
import styles from './chat-view.module.css';

interface ChatViewProps {
  session: ChatSession;
  /** What the address field starts with, and starts afresh with whenever this changes. */
  address: string;
}

/** One conversation with a server, and what it was worth. */
export function ChatView({ session, address }: ChatViewProps) {
  const { connection, counts, dropped, entries, roundTrips } = useStore(session.store);
  return (
    <div className={styles.view}>
      <div className={styles.connection}>
        <ConnectionBar
          key={address}
          connection={connection}
          initialUrl={address}
          onConnect={async (url) => problemOf(await session.connect(url))}
          onDisconnect={() => {
            session.disconnect();
          }}
        />
      </div>
      <div className={styles.figures}>
        <VerdictPanel counts={counts} roundTrips={roundTrips} />
      </div>
      <section className={styles.chat} aria-label="Chat">
        {entries.length === 0 ? (
          <Welcome />
        ) : (
          <MessageList
            entries={entries}
            dropped={dropped}
            renderNotice={({ notice, atMs }) => <ConnectionNotice notice={notice} atMs={atMs} />}
          />
        )}
        <MessageComposer
          isConnected={connection.phase === 'open'}
          onSend={async (text) => problemOf(await session.send(text))}
        />
      </section>
    </div>
  );
}

function problemOf(outcome: Outcome): string | null {
  return outcome.ok ? null : outcome.problem;
}
