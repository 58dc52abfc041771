import { type ReactNode, Suspense, useContext, useRef, useState } from 'react';

import { ConnectionBar } from '../features/connection/connection-bar';
import { doesReconnect } from '../features/connection/reconnect-choice';
import { rememberAddress } from '../features/connection/url-history';
import { Welcome } from '../features/connection/welcome';
import { matchingText } from '../features/conversation/matching';
import { MessageComposer } from '../features/conversation/message-composer';
import { VerdictPanel } from '../features/conversation/verdict-panel';
import { useStore } from '../lib/frame-store';
import { keepInTab } from '../lib/kept-in-tab';
import type { Outgoing } from '../lib/send-plan';
import { PartNumber, usePartName } from '../lib/part-name';
import button from '../components/button.module.css';
import { ErrorBoundary } from '../components/error-boundary';
import { OpenedPart } from '../components/opened-part';
import { lazyModule, lazyPart } from '../lib/lazy-part';
import styles from './chat-pane.module.css';
import { type ChatSnapshot, problemOf } from './chat-session';
import { type ChatTab, draftKeyOf, type TabFields, throughKeyOf } from './chat-tabs';

// Before anything was said, there is no log to show.
const ChatLog = lazyPart(() => import('./chat-log'));

const DialFields = lazyPart(() => import('../features/connection/dialling/dial-fields'));

const SendingStrip = lazyPart(() =>
  import('../features/conversation/sending-strip').then((module) => ({
    default: module.SendingStrip,
  })),
);

const SavedDialog = lazyPart(() => import('./saved-dialog'));
const SavedMessages = lazyPart(() => import('./saved-messages'));
const savedWork = lazyModule(() => import('./saved-work'));

/** Only what may have something to fill in waits for the part that does it. */
const TEMPLATE = /\{\{|\{(conn|seq|now|random|room)\}/;
const NOT_LOADED = 'The part of the page that fills in templates could not be loaded.';

interface ChatPaneProps {
  tab: ChatTab;
  /** Of the server that has served this page; `null` where none has. */
  servedUrl: string | null;
  /** Connects to an address that was not typed. */
  onVisit: (url: string) => void;
  onNote: (fields: TabFields) => void;
  /** Opens what was saved, in this chat or in one that is free. */
  onOpen: (address: string, fields: TabFields) => void;
  /** Further tools of the connection. */
  children?: ReactNode;
}

/** One conversation with a server, and what it was worth. */
export function ChatPane(props: ChatPaneProps) {
  const { tab, servedUrl, onVisit, onNote, children } = props;
  const { session, subprotocols } = tab;
  const snapshot: ChatSnapshot = useStore(session.store);
  const { connection, counts, roundTrips, sending } = snapshot;
  /** Of the messages sent by hand: after each, the end of the log is what one wants to see. */
  const [sentByHand, setSentByHand] = useState(0);

  const bar = useRef<HTMLDivElement>(null);
  const chat = useRef<HTMLElement>(null);

  const isEmpty = snapshot.entries.length === 0 && snapshot.dropped === 0 && counts.sent === 0;
  const welcome = <Welcome servedUrl={servedUrl} onConnect={onVisit} />;

  const dialThrough = (through: string | null) => {
    session.dialThrough(through);
    keepInTab(throughKeyOf(tab.id), through);
  };

  const conn = useContext(PartNumber) - 1;
  /** What was typed into the field of the address since it was last set. */
  const [typed, setTyped] = useState({ proposals: tab.proposals, address: tab.address });
  const [isSavedOpen, setIsSavedOpen] = useState(false);

  const connect = async (address: string) => {
    const { savedId } = tab;
    const isPlain = savedId === '' && !TEMPLATE.test(address);
    const prepared = isPlain
      ? ({ ok: true, value: { url: address } } as const)
      : await savedWork().then(
          (work) =>
            work.prepareConnection({ address, savedId, conn, isDialled: session.through !== null }),
          () => ({ ok: false, problem: NOT_LOADED }) as const,
        );
    if (!prepared.ok) return prepared.problem;
    const { url, ...sends } = prepared.value;
    const reconnects = doesReconnect();
    const outcome = await session.connect(url, { subprotocols, reconnects, ...sends });
    if (outcome.ok) onNote({ address });
    if (session.connection.phase === 'open') {
      // Its variables, not what they stood for: that may be a secret.
      rememberAddress(url === address ? session.connection.url : address);
      goOn(bar.current, chat.current);
    }
    return problemOf(outcome);
  };
  const fill = async (data: Outgoing, how: 'prepareMessage' | 'prepareRepeated') => {
    if (typeof data !== 'string' || !TEMPLATE.test(data)) return { ok: true, value: data } as const;
    return savedWork().then(
      (work) => work[how](conn, data),
      () => ({ ok: false, problem: NOT_LOADED }) as const,
    );
  };
  return (
    <div className={styles.pane}>
      <div className={styles.view}>
        <div ref={bar} className={styles.connection}>
          <ConnectionBar
            key={tab.proposals}
            connection={connection}
            initialUrl={tab.address}
            initialProblem={tab.problem}
            subprotocols={subprotocols}
            onSubprotocols={(typed) => {
              onNote({ subprotocols: typed });
            }}
            onTyped={(address) => {
              setTyped({ proposals: tab.proposals, address });
            }}
            onConnect={connect}
            onDisconnect={(code, reason) => {
              session.disconnect(code, reason);
            }}
            onTryNow={() => {
              session.tryNow();
            }}
            onStopTrying={() => {
              session.stopTrying();
            }}
            options={
              servedUrl !== null && <DialFields through={session.through} onThrough={dialThrough} />
            }
          >
            <button
              type="button"
              className={button.tool}
              aria-haspopup="dialog"
              onClick={() => {
                setIsSavedOpen(true);
              }}
            >
              Collection
            </button>
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
        <section ref={chat} className={styles.chat} aria-label={usePartName('Chat')}>
          {isEmpty ? (
            welcome
          ) : (
            <ErrorBoundary part="The log">
              <Suspense fallback={<div className={styles.coming} />}>
                <ChatLog
                  session={session}
                  snapshot={snapshot}
                  address={tab.address}
                  subprotocols={subprotocols}
                  servedUrl={servedUrl}
                  sentByHand={sentByHand}
                  welcome={welcome}
                  onThrough={dialThrough}
                  onVisit={onVisit}
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
              const filled = await fill(data, 'prepareMessage');
              if (!filled.ok) return filled.problem;
              const outcome = await session.send(filled.value);
              if (outcome.ok) setSentByHand((count) => count + 1);
              return problemOf(outcome);
            }}
            onRepeat={async (data, pace) => {
              const filled = await fill(data, 'prepareRepeated');
              if (!filled.ok) return filled.problem;
              return problemOf(session.start({ kind: 'repeat', data: filled.value, ...pace }));
            }}
            renderSaved={(draft, take) =>
              tab.savedId !== '' && (
                <Suspense>
                  <SavedMessages id={tab.savedId} draft={draft} onTake={take} />
                </Suspense>
              )
            }
          />
        </section>
      </div>
      {isSavedOpen && (
        <OpenedPart name="The collection" onClose={() => setIsSavedOpen(false)}>
          <SavedDialog
            tab={tab}
            address={typed.proposals === tab.proposals ? typed.address : tab.address}
            onNote={onNote}
            onOpen={props.onOpen}
            onClose={() => setIsSavedOpen(false)}
          />
        </OpenedPart>
      )}
    </div>
  );
}

/**
 * Puts the keyboard where one goes on: to the message, once there is a connection. Not away from
 * what one has gone to meanwhile, and not where the focus calls up a keyboard on the screen.
 */
function goOn(bar: HTMLElement | null, chat: HTMLElement | null): void {
  const { activeElement, body } = document;
  const isWaiting = activeElement === null || activeElement === body;
  if (!isWaiting && bar?.contains(activeElement) !== true) return;
  if (!matchMedia('(pointer: coarse)').matches) chat?.querySelector('textarea')?.focus();
}
