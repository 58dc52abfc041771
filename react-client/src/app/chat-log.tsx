import type { ReactNode } from 'react';

import { ConnectionNotice } from '../features/connection/connection-notice';
import { PLAIN_DIAL } from '../features/connection/dialling/dial-form';
import { DialStrip } from '../features/connection/dialling/dial-strip';
import { readSocketUrl } from '../features/connection/socket-url';
import ConversationPanel from '../features/conversation/conversation-panel';
import { type ChatSession, type ChatSnapshot, problemOf } from './chat-session';
import { copyTargetOf } from './copy-target';
import { describeNotice } from './describe-notice';

interface ChatLogProps {
  session: ChatSession;
  snapshot: ChatSnapshot;
  /** As typed. */
  address: string;
  subprotocols: string;
  servedUrl: string | null;
  sentByHand: number;
  welcome: ReactNode;
  /** Has the console dial from the next connection on, as this says; `null`: the browser. */
  onThrough: (through: string | null) => void;
  onVisit: (url: string) => void;
}

/** What was said in a chat, and what happened to its connections. */
export default function ChatLog(props: ChatLogProps) {
  const { session, snapshot, subprotocols, servedUrl } = props;
  const target = copyTargetOf(snapshot, subprotocols);
  const findOut = (url: string) => {
    props.onThrough(session.through ?? JSON.stringify(PLAIN_DIAL));
    props.onVisit(url);
  };
  return (
    <>
      {session.dialled.steps.length > 0 && (
        <DialStrip
          dialled={session.dialled}
          isOn={session.through !== null}
          onDirect={() => {
            props.onThrough(null);
          }}
        />
      )}
      <ConversationPanel
        conversation={snapshot}
        latency={session.latency}
        target={target}
        address={target?.url ?? normal(props.address)}
        sentByHand={props.sentByHand}
        welcome={props.welcome}
        renderNotice={({ notice, atMs }) => (
          <ConnectionNotice
            notice={notice}
            atMs={atMs}
            servedUrl={servedUrl}
            onFindOut={servedUrl === null ? undefined : findOut}
          />
        )}
        describeNotice={describeNotice}
        onStart={(plan) => problemOf(session.start(plan))}
        onResend={async (data) => problemOf(await session.send(data))}
        onClear={() => {
          session.clearLog();
        }}
        onRestartCounts={() => {
          session.restartCounts();
        }}
      />
    </>
  );
}

/** As it is known once one has connected to it. */
function normal(typed: string): string {
  const read = readSocketUrl(typed, location.protocol);
  return read.ok ? read.url : typed;
}
