import type { ReactNode } from 'react';

import button from '../../components/button.module.css';
import panel from '../../components/panel.module.css';
import styles from './saved.module.css';

interface RowsProps<Item> {
  title: string;
  note?: ReactNode;
  /** One of them, such as “header”. */
  one: string;
  items: readonly Item[];
  /** What a new one begins with. */
  empty: Item;
  onChange: (items: readonly Item[]) => void;
  children: (item: Item, label: string, change: (item: Item) => void) => ReactNode;
}

/** A list in a form, to which one adds and from which one removes. */
export function Rows<Item>(props: RowsProps<Item>) {
  const { title, note, one, items, empty, onChange, children } = props;
  return (
    <fieldset className={styles.group}>
      <legend>{title}</legend>
      {note !== undefined && <p className={panel.note}>{note}</p>}
      {items.map((item, index) => {
        const label = `${one} ${String(index + 1)}`;
        return (
          // They have no identity but their place.
          <div key={index} className={styles.entry}>
            {children(item, label, (changed) => onChange(items.with(index, changed)))}
            <button
              type="button"
              className={styles.remove}
              aria-label={`Remove ${label}`}
              title="Remove"
              onClick={() => onChange(items.toSpliced(index, 1))}
            >
              ×
            </button>
          </div>
        );
      })}
      <p>
        <button
          type="button"
          className={button.smallQuiet}
          onClick={() => onChange([...items, empty])}
        >
          Add a {one}
        </button>
      </p>
    </fieldset>
  );
}
