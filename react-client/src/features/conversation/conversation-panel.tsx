import { type ReactNode, Suspense, useCallback, useMemo, useRef, useState } from 'react';

import { ErrorBoundary } from '../../components/error-boundary';
import { OpenedPart } from '../../components/opened-part';
import type { Store } from '../../lib/frame-store';
import { lazyPart } from '../../lib/lazy-part';
import { saveFile } from '../../lib/save-file';
import type { Outgoing, SendPlan } from '../../lib/send-plan';
import type { TimeSeries } from '../../lib/time-series';
import type {
  ConversationSnapshot,
  Entry,
  NoticeEntry,
  ReceivedEntry,
  SentEntry,
} from './conversation';
import styles from './conversation-panel.module.css';
import type { CopyTarget } from './copy-as';
import { type DescribeNotice, exportCsv, exportNdjson } from './export-log';
import { FilterBar } from './filter-bar';
import { LogBar } from './log-bar';
import { compileFilter, FilteredLog, NO_FILTER } from './log-filter';
import { LogMenu } from './log-menu';
import { logSummary } from './log-summary';
import { MessageList } from './message-list';

// What most conversations never need comes when it is asked for.
const LatencyPanel = lazyPart(() => import('./latency-panel'));
const MessageDialog = lazyPart(() => import('./message-dialog'));
const ReplayDialog = lazyPart(() => import('./replay-dialog'));

interface ConversationPanelProps<Notice> {
  conversation: ConversationSnapshot<Notice>;
  latency: Store<TimeSeries>;
  /** Where messages go, for those who want to send them by other means. */
  target: CopyTarget | null;
  renderNotice: (entry: NoticeEntry<Notice>) => ReactNode;
  describeNotice: DescribeNotice<Notice>;
  onStart: (plan: SendPlan) => string | null;
  /** Settles to why it was not sent, in one line, or to `null` when it was. */
  onResend: (data: Outgoing) => Promise<string | null>;
  onClear: () => void;
  onRestartCounts: () => void;
  /** Rises with each message sent by hand: then the log goes to its end, where it stands. */
  sentByHand?: number;
  /** What stands there before anything was said. */
  welcome: ReactNode;
}

/** What is on the screen stands still while the log goes on. */
interface Held<Notice> {
  readonly entries: readonly Entry<Notice>[];
  readonly dropped: number;
}

/** The log of a conversation with its tools. */
export default function ConversationPanel<Notice>(props: ConversationPanelProps<Notice>) {
  const { conversation, latency, target, renderNotice, describeNotice } = props;
  const [held, setHeld] = useState<Held<Notice> | null>(null);
  const [filter, setFilter] = useState(NO_FILTER);
  const [isFiltering, setIsFiltering] = useState(false);
  const [isCharting, setIsCharting] = useState(false);
  const [isReplaying, setIsReplaying] = useState(false);
  const [opened, setOpened] = useState<SentEntry | ReceivedEntry | null>(null);

  const filterButton = useRef<HTMLButtonElement>(null);

  const compiled = useMemo(() => compileFilter(filter), [filter]);
  const passes = compiled.ok && isFiltering ? compiled.passes : null;
  const shown = held ?? conversation;
  const filtered = useMemo(() => new FilteredLog<Notice>(passes), [passes]);
  const entries = useMemo(() => filtered.apply(shown.entries), [filtered, shown.entries]);
  const open = useCallback((entry: SentEntry | ReceivedEntry) => setOpened(entry), []);

  const exportAs = (form: 'ndjson' | 'csv') => {
    const write = form === 'csv' ? exportCsv : exportNdjson;
    const blob = write(conversation.entries, describeNotice);
    const moment = new Date().toISOString().slice(0, 19).replaceAll(':', '-');
    saveFile(`echo-trio-log-${moment}.${form}`, blob.type, blob);
  };
  const closeFilter = () => {
    setIsFiltering(false);
    // The field is about to go; the keyboard should not be left nowhere.
    filterButton.current?.focus();
  };
  const isEmpty = conversation.entries.length === 0 && conversation.dropped === 0;

  return (
    <>
      {isEmpty && held === null && conversation.counts.sent === 0 ? (
        props.welcome
      ) : (
        <>
          <LogBar
            summary={logSummary({
              held: held?.entries ?? null,
              live: conversation.entries,
              dropped: shown.dropped,
              passing: passes === null ? null : entries,
            })}
            isFiltering={isFiltering}
            filterButton={filterButton}
            isPaused={held !== null}
            isCharting={isCharting}
            onFilter={() => {
              setIsFiltering((was) => !was);
            }}
            onPause={() => {
              const { entries: now, dropped } = conversation;
              setHeld((was) => (was === null ? { entries: now, dropped } : null));
            }}
            onChart={() => {
              setIsCharting((was) => !was);
            }}
            menu={(close) => (
              <LogMenu
                close={close}
                actions={{
                  exportNdjson: () => {
                    exportAs('ndjson');
                  },
                  exportCsv: () => {
                    exportAs('csv');
                  },
                  replay: () => {
                    setIsReplaying(true);
                  },
                  clear: () => {
                    setHeld(null);
                    props.onClear();
                  },
                  restartCounts: props.onRestartCounts,
                }}
              />
            )}
          />
          {isFiltering && (
            <FilterBar
              filter={filter}
              problem={compiled.ok ? null : compiled.problem}
              onChange={setFilter}
              onClose={closeFilter}
            />
          )}
          {isCharting && (
            <div className={styles.chart}>
              <ErrorBoundary part="The chart">
                <Suspense fallback={<p className={styles.loading}>Loading…</p>}>
                  <LatencyPanel latency={latency} />
                </Suspense>
              </ErrorBoundary>
            </div>
          )}
          <MessageList
            entries={entries}
            isLive={held === null}
            sentByHand={props.sentByHand}
            onOpen={open}
            renderNotice={renderNotice}
          />
        </>
      )}
      {opened && (
        <OpenedPart name="The message’s details" onClose={() => setOpened(null)}>
          <MessageDialog
            entry={asItIsNow(opened, conversation.entries)}
            target={target}
            onResend={props.onResend}
            onClose={() => setOpened(null)}
          />
        </OpenedPart>
      )}
      {isReplaying && (
        <OpenedPart name="Replaying" onClose={() => setIsReplaying(false)}>
          <ReplayDialog onStart={props.onStart} onClose={() => setIsReplaying(false)} />
        </OpenedPart>
      )}
    </>
  );
}

/** A message that waited when it was opened may have its reply by now. */
function asItIsNow<Notice>(
  opened: SentEntry | ReceivedEntry,
  entries: readonly Entry<Notice>[],
): SentEntry | ReceivedEntry {
  // The log's identifiers have no gaps.
  const now = entries[opened.id - (entries[0]?.id ?? 0)];
  return now === undefined || now.kind === 'notice' ? opened : now;
}
