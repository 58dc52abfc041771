import { useVirtualizer } from '@tanstack/react-virtual';
import { type ReactNode, useRef } from 'react';

import { formatCount } from '../../lib/figures';
import type { Entry, NoticeEntry } from './conversation';
import styles from './message-list.module.css';
import { MessageRow } from './message-row';
import { useTail } from './use-tail';

interface MessageListProps<Notice> {
  entries: readonly Entry<Notice>[];
  dropped: number;
  renderNotice: (entry: NoticeEntry<Notice>) => ReactNode;
}

const TYPICAL_ROW_HEIGHT_PX = 46;

/**
 * The conversation, of which only the rows in view exist in the document. It follows the newest
 * message until one scrolls up, and again once one is back at the end.
 */
export function MessageList<Notice>(props: MessageListProps<Notice>) {
  const { entries, dropped, renderNotice } = props;
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

  const { leftAtId, follow } = useTail(scroller, newestId);
  const isFollowing = leftAtId === null;

  const jumpToNewest = () => {
    follow();
    // The button is about to go; the keyboard should not be left nowhere.
    scroller.current?.focus();
  };

  return (
    <div className={styles.frame}>
      {dropped > 0 && (
        <p className={styles.dropped}>
          Showing the last {formatCount(entries.length)}; {formatCount(dropped)} dropped.
        </p>
      )}
      <div
        ref={scroller}
        className={styles.scroller}
        role="log"
        aria-label="Conversation"
        // While reading back, rows come and go by scrolling: that is nothing to announce.
        aria-live={isFollowing ? 'polite' : 'off'}
        tabIndex={0}
      >
        <ol className={styles.rows} style={{ height: rows.getTotalSize() }}>
          {rows.getVirtualItems().map(({ index, key, start }) => {
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
                  {entry.kind === 'notice' ? renderNotice(entry) : <MessageRow entry={entry} />}
                </li>
              )
            );
          })}
        </ol>
      </div>
      {!isFollowing && (
        <button type="button" className={styles.jump} onClick={jumpToNewest}>
          {newestId > leftAtId ? `${formatCount(newestId - leftAtId)} new · ` : ''}Jump to the
          newest
        </button>
      )}
    </div>
  );
}
