import { useVirtualizer } from '@tanstack/react-virtual';
import { type ReactNode, useRef, useState } from 'react';

import { VisuallyHidden } from '../../components/visually-hidden';
import { formatCount } from '../../lib/figures';
import { usePartName } from '../../lib/part-name';
import type { Entry, NoticeEntry, ReceivedEntry, SentEntry } from './conversation';
import styles from './message-list.module.css';
import { MessageRow } from './message-row';
import { useFlood } from './use-flood';
import { useTail } from './use-tail';

interface MessageListProps<Notice> {
  entries: readonly Entry<Notice>[];
  /** Shows a message from all sides. */
  onOpen?: ((entry: SentEntry | ReceivedEntry) => void) | undefined;
  /** Whether new ones are announced: not while there are none to come. */
  isLive?: boolean;
  /** Rises with each message sent by hand, which one wants to see. */
  sentByHand?: number | undefined;
  renderNotice: (entry: NoticeEntry<Notice>) => ReactNode;
}

const TYPICAL_ROW_HEIGHT_PX = 46;

/**
 * The conversation, of which only the rows in view exist in the document. It follows the newest
 * message until one scrolls up, and again once one is back at the end.
 */
export function MessageList<Notice>(props: MessageListProps<Notice>) {
  const { entries, onOpen, isLive = true, sentByHand = 0, renderNotice } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const newestId = entries.at(-1)?.id ?? -1;

  const rows = useVirtualizer({
    count: entries.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => TYPICAL_ROW_HEIGHT_PX,
    getItemKey: (index) => entries[index]?.id ?? index,
    overscan: 8,
    paddingStart: 12,
    paddingEnd: 12,
    // Holds the reader's place while entries are dropped at the start and measured anywhere.
    anchorTo: 'end',
  });

  const { leftAtId, follow } = useTail(scroller, newestId, sentByHand);
  const isFollowing = leftAtId === null;
  const isFlood = useFlood(newestId);
  const newCount = isFollowing ? 0 : countSince(entries, leftAtId);

  const jumpToNewest = () => {
    follow();
    // The button is about to go; the keyboard should not be left nowhere.
    scroller.current?.focus();
  };

  // One button of all rows is in the tab order; up and down go on from it.
  const [visitedId, setVisitedId] = useState(-1);
  const shown = rows.getVirtualItems();
  const shownMessages = shown
    .map(({ index }) => entries[index])
    .filter((entry) => entry !== undefined && entry.kind !== 'notice');
  const tabStopId =
    shownMessages.find((entry) => entry.id === visitedId)?.id ?? shownMessages.at(-1)?.id;

  return (
    <div className={styles.frame}>
      <div
        ref={scroller}
        className={styles.scroller}
        role="log"
        aria-label={usePartName('Conversation')}
        // While reading back, rows come and go by scrolling: that is nothing to announce. Nor is a
        // flood, of which a screen reader would speak long after it is over.
        aria-live={isFollowing && isLive && !isFlood ? 'polite' : 'off'}
        tabIndex={0}
      >
        <ol className={styles.rows} style={{ height: rows.getTotalSize() }}>
          {shown.map(({ index, key, start }) => {
            const entry = entries[index];
            return (
              entry && (
                <li
                  key={key}
                  ref={rows.measureElement}
                  data-index={index}
                  className={styles.row}
                  style={{ transform: `translateY(${String(start)}px)` }}
                  aria-setsize={entries.length}
                  aria-posinset={index + 1}
                >
                  {entry.kind === 'notice' ? (
                    renderNotice(entry)
                  ) : (
                    <MessageRow
                      entry={entry}
                      onOpen={onOpen}
                      onVisit={setVisitedId}
                      isTabStop={entry.id === tabStopId}
                    />
                  )}
                </li>
              )
            );
          })}
        </ol>
      </div>
      <VisuallyHidden role="status">
        {isFlood && isLive && 'Messages come too fast to be read out.'}
      </VisuallyHidden>
      {!isFollowing && (
        <button type="button" className={styles.jump} onClick={jumpToNewest}>
          {newCount > 0 && `${formatCount(newCount)} new · `}Jump to the newest
        </button>
      )}
    </div>
  );
}

/** How many of these came after that one: with a filter, not all that the log holds. */
function countSince<Notice>(entries: readonly Entry<Notice>[], id: number): number {
  return entries.length - 1 - entries.findLastIndex((entry) => entry.id <= id);
}
