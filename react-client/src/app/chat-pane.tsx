import { type ReactNode, Suspense, useState } from 'react';

import { ConnectionBar } from '../features/connection/connection-bar';
import { doesReconnect } from '../features/connection/reconnect-choice';
import { rememberAddress } from '../features/connection/url-history';
import { Welcome } from '../features/connection/welcome';
import { matchingText } from '../features/conversation/matching';
import { MessageComposer } from '../features/conversation/message-composer';
import { VerdictPanel } from '../features/conversation/verdict-panel';
import { useStore } from '../lib/frame-store';
import { usePartName } from '../lib/part-name';
import { ErrorBoundary } from '../components/error-boundary';
import { lazyPart } from '../lib/lazy-part';
import styles from './chat-pane.module.css';
import { type ChatSnapshot, problemOf } from './chat-session';
import { type ChatTab, draftKeyOf, type TabFields } from './chat-tabs';

// Before anything was said, there is no log to show.
const ChatLog = lazyPart(() => import('./chat-log'));

const SendingStrip = lazyPart(() =>
  import('../features/conversation/sending-strip').then((module) => ({
    default: module.SendingStrip,
  })),
);

interface ChatPaneProps {
  tab: ChatTab;
  /** Of the server that has served this page; `null` where none has. */
  servedUrl: string | null;
  /** Connects to an address that was not typed. */
  onVisit: (url: string) => void;
  onNote: (fields: TabFields) => void;
  /** Further tools of the connection. */
  children?: ReactNode;
}

/** One conversation with a server, and what it was worth. */
export function ChatPane({ tab, servedUrl, onVisit, onNote, children }: ChatPaneProps) {
  const { session, subprotocols } = tab;
  const snapshot: ChatSnapshot = useStore(session.store);
  const { connection, counts, roundTrips, sending } = snapshot;
  /** Of the messages sent by hand: after each, the end of the log is what one wants to see. */
  const [sentByHand, setSentByHand] = useState(0);

  const isEmpty = snapshot.entries.length === 0 && snapshot.dropped === 0 && counts.sent === 0;
  const welcome = <Welcome servedUrl={servedUrl} onConnect={onVisit} />;

  const connect = async (url: string) => {
    const outcome = await session.connect(url, { subprotocols, reconnects: doesReconnect() });
    if (outcome.ok) onNote({ address: url });
    if (session.connection.phase === 'open') rememberAddress(session.connection.url);
    return problemOf(outcome);
  };
  return (
    <div className={styles.pane}>
      <div className={styles.view}>
        <div className={styles.connection}>
          <ConnectionBar
            key={tab.proposals}
            connection={connection}
            initialUrl={tab.address}
            initialProblem={tab.problem}
            subprotocols={subprotocols}
            onSubprotocols={(typed) => {
              onNote({ subprotocols: typed });
            }}
            onConnect={connect}
            onDisconnect={() => {
              session.disconnect();
            }}
            onTryNow={() => {
              session.tryNow();
            }}
            onStopTrying={() => {
              session.stopTrying();
            }}
          >
            {children}
          </ConnectionBar>
        </div>
        <div className={styles.figures}>
          <VerdictPanel
            counts={counts}
            roundTrips={roundTrips}
            matching={snapshot.matching}
            form={snapshot.form}
            onMatching={(matching) => {
              session.setMatching(matching);
              onNote({ matching: matchingText(matching) });
            }}
          />
        </div>
        <section className={styles.chat} aria-label={usePartName('Chat')}>
          {isEmpty ? (
            welcome
          ) : (
            <ErrorBoundary part="The log">
              <Suspense fallback={<div className={styles.coming} />}>
                <ChatLog
                  session={session}
                  snapshot={snapshot}
                  subprotocols={subprotocols}
                  servedUrl={servedUrl}
                  sentByHand={sentByHand}
                  welcome={welcome}
                />
              </Suspense>
            </ErrorBoundary>
          )}
          {sending !== null && (
            <Suspense>
              <SendingStrip
                sending={sending}
                onStop={() => {
                  session.stop();
                }}
                onDismiss={() => {
                  session.dismissSending();
                }}
              />
            </Suspense>
          )}
          <MessageComposer
            isConnected={connection.phase === 'open'}
            draftKey={draftKeyOf(tab.id)}
            onSend={async (data) => {
              const outcome = await session.send(data);
              if (outcome.ok) setSentByHand((count) => count + 1);
              return problemOf(outcome);
            }}
            onStart={(plan) => problemOf(session.start(plan))}
          />
        </section>
      </div>
    </div>
  );
}
