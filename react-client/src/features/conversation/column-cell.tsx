import { useContext } from 'react';

import { ValueLine } from '../../components/value-line';
import { VisuallyHidden } from '../../components/visually-hidden';
import { formatCount } from '../../lib/figures';
import { mayHave, nodesAt } from '../../lib/values/value-path';
import styles from './column-cell.module.css';
import type { ReceivedEntry, SentEntry } from './conversation';
import { ownPayload } from './log-filter';
import { RowReadingContext } from './row-reading';
import { weightOf } from './payload';

/** Some thirty rows are drawn at once, and each reads its whole message. */
const MOST_READ = 65_536;
const SHOWN_VALUES = 3;
const SHOWN_CHARACTERS = 80;

/** What stands at the chosen path in a message. */
export function ColumnCell({ entry }: { entry: SentEntry | ReceivedEntry }) {
  const { column, readTree } = useContext(RowReadingContext);
  if (column === null) return null;
  const payload = ownPayload(entry);
  const isLong = weightOf(payload) > MOST_READ;
  const cannotBe = payload.type === 'text' && !mayHave(payload.text, column.path);
  const tree = isLong || cannotBe ? null : readTree(payload);
  const nodes = tree === null ? [] : nodesAt(tree, column.path);
  const shown = nodes.slice(0, SHOWN_VALUES);
  return (
    <p className={styles.cell} data-column="">
      <VisuallyHidden>{column.caption}: </VisuallyHidden>
      {shown.map((node) => {
        const source = tree?.source(node) ?? '';
        return (
          <span key={node} className={styles.value} title={source.slice(0, SHOWN_CHARACTERS)}>
            <ValueLine text={source} most={SHOWN_CHARACTERS} />
          </span>
        );
      })}
      {nodes.length > SHOWN_VALUES && <span>+{formatCount(nodes.length - SHOWN_VALUES)}</span>}
      {nodes.length === 0 && <span>{isLong ? 'too long' : '–'}</span>}
    </p>
  );
}
