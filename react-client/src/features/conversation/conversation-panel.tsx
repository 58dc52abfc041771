import { type ReactNode, Suspense, useCallback, useMemo, useRef, useState } from 'react';

import type { ValueAction } from '../../components/chosen-value';
import { ErrorBoundary } from '../../components/error-boundary';
import { OpenedPart } from '../../components/opened-part';
import type { Store } from '../../lib/frame-store';
import { lazyPart } from '../../lib/lazy-part';
import { readPath } from '../../lib/values/value-path';
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
import { DECODER_NAMES } from './binary-choice';
import styles from './conversation-panel.module.css';
import type { CopyTarget } from './copy-as';
import { type DescribeNotice, exportCsv, exportedEntry, exportNdjson } from './export-log';
import { FilterBar } from './filter-bar';
import { LogBar } from './log-bar';
import { ColumnHead } from './column-head';
import { compileFilter, NO_FILTER } from './log-filter';
import { LogMenu } from './log-menu';
import { logSummary } from './log-summary';
import { MessageList } from './message-list';
import { JSON_ONLY, type ReadTree } from './read-tree';
import { RowReadingContext } from './row-reading';
import { useBinaryChoice } from './use-binary-choice';
import { useFilteredLog } from './use-filtered-log';

// What most conversations never need comes when it is asked for.
const LatencyPanel = lazyPart(() => import('./latency-panel'));
const MessageDialog = lazyPart(() => import('./message-dialog'));
const ReplayDialog = lazyPart(() => import('./replay-dialog'));
const LogScenario = lazyPart(() => import('./log-scenario'));

interface ConversationPanelProps<Notice> {
  conversation: ConversationSnapshot<Notice>;
  latency: Store<TimeSeries>;
  /** Where messages go, for those who want to send them by other means. */
  target: CopyTarget | null;
  /** By which it is remembered how its messages are read. */
  address: string;
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
  const [isScenarioOpen, setIsScenarioOpen] = useState(false);
  const [marked, setMarked] = useState<SentEntry | ReceivedEntry | null>(null);
  const [opened, setOpened] = useState<SentEntry | ReceivedEntry | null>(null);

  const filterButton = useRef<HTMLButtonElement>(null);

  const { choice, choose, decoders } = useBinaryChoice(props.address);
  const { column } = choice;
  const setColumn = useCallback((path: string) => choose({ column: path }), [choose]);
  const actions = useMemo<ValueAction[]>(
    () => [
      {
        name: 'Filter by it',
        run: (path, source) => {
          setOpened(null);
          setIsFiltering(true);
          setFilter((was) => ({ ...was, value: testOf(path, source) }));
        },
      },
      {
        name: 'Show as a column',
        run: (path) => {
          setOpened(null);
          setColumn(path);
        },
      },
    ],
    [setColumn],
  );
  const { decoder, descriptor, messageType } = choice;
  const decode = useMemo(() => {
    if (decoders === undefined) return null;
    const how = { decoder, descriptor, messageType };
    return (bytes: Uint8Array) => decoders.decode(bytes, how);
  }, [decoders, decoder, descriptor, messageType]);
  const readTree = useMemo<ReadTree>(() => {
    if (decode === null) return JSON_ONLY;
    return (payload) => (payload.type === 'text' ? JSON_ONLY(payload) : decode(payload.bytes).tree);
  }, [decode]);
  const compiled = useMemo(() => compileFilter(filter, readTree), [filter, readTree]);
  const passes = compiled.ok && isFiltering ? compiled.passes : null;
  const shown = held ?? conversation;
  const { entries, pending } = useFilteredLog(passes, shown.entries);
  const readColumn = useMemo(() => readPath(column), [column]);
  const rowReading = useMemo(() => {
    const isColumn = column.trim() !== '' && readColumn.ok;
    return {
      readTree,
      binary: decode && { name: DECODER_NAMES[choice.decoder], decode },
      column: isColumn ? { caption: column.trim(), path: readColumn.value } : null,
    };
  }, [readTree, decode, choice.decoder, column, readColumn]);
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
              pending,
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
                  asScenario: () => {
                    setIsScenarioOpen(true);
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
              problem={compiled.ok ? null : compiled}
              onChange={setFilter}
              column={column}
              columnProblem={readColumn.ok ? null : readColumn.problem}
              onColumn={setColumn}
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
          {rowReading.column !== null && (
            <ColumnHead
              caption={rowReading.column.caption}
              onRemove={() => {
                setColumn('');
              }}
            />
          )}
          <RowReadingContext value={rowReading}>
            <MessageList
              entries={entries}
              isLive={held === null}
              sentByHand={props.sentByHand}
              onOpen={open}
              renderNotice={renderNotice}
            />
          </RowReadingContext>
        </>
      )}
      {opened && (
        <OpenedPart name="The message’s details" onClose={() => setOpened(null)}>
          <MessageDialog
            entry={asItIsNow(opened, conversation.entries)}
            target={target}
            onResend={props.onResend}
            entries={conversation.entries}
            readTree={readTree}
            marked={marked}
            onMark={setMarked}
            binary={{ address: props.address, choice, choose, decoders }}
            actions={actions}
            onClose={() => setOpened(null)}
          />
        </OpenedPart>
      )}
      {isScenarioOpen && (
        <OpenedPart name="The scenario" onClose={() => setIsScenarioOpen(false)}>
          <LogScenario
            entries={conversation.entries.length}
            linesOf={(last) =>
              conversation.entries.slice(-last).map((entry) => exportedEntry(entry, describeNotice))
            }
            address={props.address}
            onClose={() => setIsScenarioOpen(false)}
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

/** A value that is short enough to be written into a filter. */
const MOST_COMPARED = 200;

/** A filter for messages with this value at the path, or, of a large one, with any. */
function testOf(path: string, source: string | null): string {
  return source === null || source.length > MOST_COMPARED ? path : `${path} == ${source}`;
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
