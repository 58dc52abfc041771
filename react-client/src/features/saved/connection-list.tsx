import { useState } from 'react';

import button from '../../components/button.module.css';
import { Field } from '../../components/field';
import panel from '../../components/panel.module.css';
import { formatPlural } from '../../lib/figures';
import type { SavedConnection } from './library';
import { hasAutomation } from './model';
import styles from './saved.module.css';

interface ConnectionListProps {
  connections: readonly SavedConnection[];
  /** The one that is open in the chat. */
  openId: string;
  onOpen: (one: SavedConnection) => void;
  onEdit: (one: SavedConnection) => void;
  onDuplicate: (one: SavedConnection) => void;
  onDelete: (one: SavedConnection) => void;
}

/** With fewer, one sees what one looks for. */
const WORTH_FINDING = 8;

/** The saved connections, and what can be done with each. */
export function ConnectionList(props: ConnectionListProps) {
  const { connections, openId } = props;
  const [wanted, setWanted] = useState('');
  const words = wanted.trim().toLowerCase();
  const found = connections.filter(({ content: { name, address } }) =>
    `${name}\n${address}`.toLowerCase().includes(words),
  );
  if (connections.length === 0) {
    return (
      <p className={panel.note}>
        Nothing is saved yet. Save the connection of this chat above, or import a file.
      </p>
    );
  }
  return (
    <>
      {connections.length > WORTH_FINDING && (
        <Field name="Find by name or address">
          {(id) => (
            <input
              id={id}
              type="search"
              className={panel.input}
              value={wanted}
              onChange={({ target }) => setWanted(target.value)}
            />
          )}
        </Field>
      )}
      <ul className={styles.list} aria-label="Saved connections">
        {found.map((one) => (
          <Item key={one.id} {...props} one={one} isHere={one.id === openId} />
        ))}
      </ul>
      {found.length < connections.length && (
        <p className={panel.note} role="status">
          {formatPlural(found.length, 'connection fits', 'connections fit')}.
        </p>
      )}
    </>
  );
}

function Item(props: ConnectionListProps & { one: SavedConnection; isHere: boolean }) {
  const { one, isHere, onOpen, onEdit, onDuplicate, onDelete } = props;
  const { name, address, messages, automation } = one.content;
  const about = [
    ...(isHere ? ['open here'] : []),
    ...(messages.length > 0 ? [formatPlural(messages.length, 'message', 'messages')] : []),
    ...(hasAutomation(automation) ? [automation.on ? 'sends by itself' : 'turned off'] : []),
  ];
  const tool = (caption: string, run: (one: SavedConnection) => void) => (
    <button
      type="button"
      className={button.tool}
      aria-label={`${caption} ${name}`}
      onClick={() => run(one)}
    >
      {caption}
    </button>
  );
  return (
    <li className={styles.item}>
      <button type="button" className={styles.open} title={address} onClick={() => onOpen(one)}>
        <span className={styles.name}>{name}</span>
        <span className={styles.address}>{address}</span>
      </button>
      <span className={styles.about}>{about.join(', ')}</span>
      <span className={styles.tools}>
        {tool('Edit', onEdit)}
        {tool('Duplicate', onDuplicate)}
        {tool('Delete', onDelete)}
      </span>
    </li>
  );
}
