import { type ReactNode, useEffect } from 'react';

import type { LoadSession } from '../features/load/load-session';
import { LoadView } from '../features/load/load-view';
import { TokenForm } from '../features/server/feed-status';
import type { LiveFeed } from '../features/server/live-feed';
import { type Store, useStore } from '../lib/frame-store';
import type { TimeSeries } from '../lib/time-series';
import { OneClock } from './one-clock';

interface LoadPageProps {
  session: LoadSession;
  feed: LiveFeed;
  chatLatency: Store<TimeSeries>;
  help: ReactNode;
}

/** One time axis for all charts of the load view: the moment under the pointer is the same. */
const SYNC_KEY = 'load';

/** The load view, and beside the run what the server and the chat were doing. */
export default function LoadPage(props: LoadPageProps) {
  const { session, feed, chatLatency, help } = props;
  const { snapshots, state } = useStore(feed.store);
  useEffect(() => {
    feed.start();
  }, [feed]);
  if (state.phase === 'locked') {
    return (
      <TokenForm
        wasRefused={state.wasRefused}
        onToken={() => {
          feed.retryNow();
        }}
      />
    );
  }
  return (
    <LoadView
      session={session}
      ownUrl={snapshots.at(-1)?.url ?? null}
      syncKey={SYNC_KEY}
      renderClock={(run) => (
        <OneClock chat={chatLatency} feed={feed} run={run} syncKey={SYNC_KEY} />
      )}
      help={help}
    />
  );
}
