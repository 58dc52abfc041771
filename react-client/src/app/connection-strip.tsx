import button from '../components/button.module.css';
import { faultsIn } from '../features/conversation/echo-counts';
import { useStore } from '../lib/frame-store';
import type { ChatTab, ChatTabs } from './chat-tabs';
import styles from './connection-strip.module.css';

/** Which connections there are, how they stand, and which is in front. */
export function ConnectionStrip({ chats }: { chats: ChatTabs }) {
  const { tabs, active, isSideBySide } = useStore(chats.store);
  return (
    <nav className={styles.strip} aria-label="Connections">
      <ul className={styles.list}>
        {tabs.map((tab, index) => (
          <Item
            key={tab.id}
            tab={tab}
            number={index + 1}
            isActive={tab === active}
            onActivate={() => {
              chats.activate(tab.id);
            }}
            onClose={() => {
              chats.close(tab.id);
            }}
          />
        ))}
      </ul>
      <button
        type="button"
        className={`${button.tool ?? ''} ${styles.sideBySide ?? ''}`}
        aria-pressed={isSideBySide}
        onClick={() => {
          chats.showSideBySide(!isSideBySide);
        }}
      >
        Side by side
      </button>
    </nav>
  );
}

interface ItemProps {
  tab: ChatTab;
  number: number;
  isActive: boolean;
  onActivate: () => void;
  onClose: () => void;
}

function Item({ tab, number, isActive, onActivate, onClose }: ItemProps) {
  const { connection, counts } = useStore(tab.session.store);
  const faults = faultsIn(counts);
  const state = CAPTIONS[connection.phase];
  return (
    <li className={styles.item} data-active={isActive}>
      <button
        type="button"
        className={styles.name}
        aria-current={isActive}
        aria-label={`Connection ${String(number)}, ${placeOf(tab.address)}, ${state}`}
        title={`${tab.address}, ${state}`}
        onClick={onActivate}
      >
        <span className={styles.dot} data-phase={connection.phase} aria-hidden="true" />
        <span className={styles.address}>
          <bdi>{placeOf(tab.address)}</bdi>
        </span>
        {faults > 0 && (
          <span className={styles.fault} title="Something came back wrong">
            !
          </span>
        )}
      </button>
      <button
        type="button"
        className={styles.close}
        aria-label={`Close connection ${String(number)}`}
        title="Close"
        onClick={({ currentTarget }) => {
          focusNeighbour(currentTarget);
          onClose();
        }}
      >
        ×
      </button>
    </li>
  );
}

/** The button is about to go with its item; the keyboard should not be left nowhere. */
function focusNeighbour(closing: Element): void {
  const item = closing.closest('li');
  const neighbour = item?.nextElementSibling ?? item?.previousElementSibling;
  neighbour?.querySelector('button')?.focus();
}

const CAPTIONS = {
  idle: 'not connected',
  connecting: 'connecting',
  open: 'connected',
  closing: 'closing',
  closed: 'closed',
} as const;

/** Host and path: what tells one from the other. */
function placeOf(address: string): string {
  return address.replace(/^wss?:\/\//, '');
}
