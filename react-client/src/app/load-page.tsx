import { type ReactNode, useEffect, useState } from 'react';

import { LoadSession } from '../features/load/load-session';
import { LoadView } from '../features/load/load-view';
import { TokenForm } from '../features/server/feed-status';
import type { LiveFeed } from '../features/server/live-feed';
import { type Store, useStore } from '../lib/frame-store';
import type { TimeSeries } from '../lib/time-series';
import { OneClock } from './one-clock';

/** What outlives a look at another view: a run that one watches goes on. */
export interface LoadPlace {
  session?: LoadSession;
  /** The run that a link has named, to be shown. */
  linked?: string | null;
}

interface LoadPageProps {
  place: LoadPlace;
  feed: LiveFeed;
  chatLatency: Store<TimeSeries>;
  help: ReactNode;
}

/** One time axis for all charts of the load view: the moment under the pointer is the same. */
const SYNC_KEY = 'load';

/** The load view, and beside the run what the server and the chat were doing. */
export default function LoadPage(props: LoadPageProps) {
  const { place, feed, chatLatency, help } = props;
  const [session] = useState(() => {
    const clockSkewMs = () => feed.store.getSnapshot().clockSkewMs;
    // The place outlives the view, which is to find its session there when it comes back.
    // oxlint-disable-next-line react/immutability
    return (place.session ??= new LoadSession({ clockSkewMs }));
  });
  const { snapshots, state } = useStore(feed.store);
  useEffect(() => {
    feed.start();
  }, [feed]);
  useEffect(() => {
    showLinked(place, session);
  }, [place, session]);
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

/** Once: what one looks at since is not to be left when the view is shown again. */
function showLinked(place: LoadPlace, session: LoadSession): void {
  if (place.linked != null) session.show(place.linked);
  place.linked = null;
}
