import { EchoMark } from '../components/echo-mark';
import { ConnectionBar } from '../features/connection/connection-bar';
import { ConnectionNotice } from '../features/connection/connection-notice';
import { DEFAULT_SOCKET_URL } from '../features/connection/socket-url';
import { Welcome } from '../features/connection/welcome';
import { MessageComposer } from '../features/conversation/message-composer';
import { MessageList } from '../features/conversation/message-list';
import { VerdictPanel } from '../features/conversation/verdict-panel';
import { useStore } from '../lib/frame-store';
import styles from './app.module.css';
import type { ChatSession, Outcome } from './chat-session';
import { ThemeButton } from './theme-button';

interface AppProps {
  session: ChatSession;
  /** The address that the field starts with. */
  initialUrl?: string;
}

/** The whole page. */
export function App({ session, initialUrl = DEFAULT_SOCKET_URL }: AppProps) {
  const { connection, counts, dropped, entries, roundTrips } = useStore(session.store);
  return (
    <div className={styles.page}>
      <header className={styles.header}>
        <h1 className={styles.name}>
          <EchoMark size={22} />
          echo-trio
        </h1>
        <ThemeButton />
      </header>

      <main className={styles.main}>
        <div className={styles.connection}>
          <ConnectionBar
            connection={connection}
            initialUrl={initialUrl}
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
      </main>
    </div>
  );
}

function problemOf(outcome: Outcome): string | null {
  return outcome.ok ? null : outcome.problem;
}
