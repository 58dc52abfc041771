import { Activity } from 'react';

import button from '../components/button.module.css';
import { useStore } from '../lib/frame-store';
import { PartNumber } from '../lib/part-name';
import { ChatPane } from './chat-pane';
import { type ChatTabs, MOST_TABS } from './chat-tabs';
import styles from './chat-view.module.css';
import { ConnectionStrip } from './connection-strip';

/** The chats: one in front, or all of them side by side. */
export function ChatView({ chats, servedUrl }: { chats: ChatTabs; servedUrl: string | null }) {
  const { tabs, active, isSideBySide } = useStore(chats.store);
  const areAllShown = isSideBySide && tabs.length > 1;
  return (
    <div className={styles.chats}>
      {tabs.length > 1 && <ConnectionStrip chats={chats} />}
      <div className={styles.panes} data-side-by-side={areAllShown}>
        {tabs.map((tab, index) => (
          <Activity key={tab.id} mode={areAllShown || tab === active ? 'visible' : 'hidden'}>
            {/* What one works in is in front: that is what the shortcuts are for. */}
            {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
            <section
              className={styles.slot}
              aria-label={`Connection ${String(index + 1)}`}
              data-active={tab === active}
              onFocus={() => {
                chats.activate(tab.id);
              }}
            >
              <PartNumber value={index + 1}>
                <ChatPane
                  tab={tab}
                  servedUrl={servedUrl}
                  onVisit={(url) => {
                    chats.activate(tab.id);
                    void chats.visit(url);
                  }}
                  onNote={(fields) => {
                    chats.note(tab.id, fields);
                  }}
                  onOpen={(address, fields) => {
                    chats.activate(tab.id);
                    chats.propose(address, fields);
                  }}
                >
                  {tabs.length < MOST_TABS && (
                    <button
                      type="button"
                      className={button.tool}
                      onClick={() => {
                        chats.add();
                      }}
                    >
                      + <span className={styles.word}>Connection</span>
                    </button>
                  )}
                </ChatPane>
              </PartNumber>
            </section>
          </Activity>
        ))}
      </div>
    </div>
  );
}
