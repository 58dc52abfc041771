import type { ReactNode } from 'react';

import { ConnectionNotice } from '../features/connection/connection-notice';
import ConversationPanel from '../features/conversation/conversation-panel';
import { type ChatSession, type ChatSnapshot, problemOf } from './chat-session';
import { copyTargetOf } from './copy-target';
import { describeNotice } from './describe-notice';

interface ChatLogProps {
  session: ChatSession;
  snapshot: ChatSnapshot;
  /** As typed. */
  subprotocols: string;
  servedUrl: string | null;
  sentByHand: number;
  welcome: ReactNode;
}

/** What was said in a chat, and what happened to its connections. */
export default function ChatLog(props: ChatLogProps) {
  const { session, snapshot, subprotocols, servedUrl } = props;
  return (
    <ConversationPanel
      conversation={snapshot}
      latency={session.latency}
      target={copyTargetOf(snapshot, subprotocols)}
      sentByHand={props.sentByHand}
      welcome={props.welcome}
      renderNotice={({ notice, atMs }) => (
        <ConnectionNotice notice={notice} atMs={atMs} servedUrl={servedUrl} />
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
  );
}
