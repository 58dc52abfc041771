import { sizeInWords } from '../lib/values/tree-rows';
import { notesOn } from '../lib/values/value-notes';
import { KIND, type ValueTree } from '../lib/values/value-tree';
import { formatCount } from '../lib/figures';
import { ValueLine } from './value-line';
import styles from './value-tree-view.module.css';
import values from './values.module.css';

interface ValueRowProps {
  id: string;
  tree: ValueTree;
  node: number;
  depth: number;
  isUnfolded: boolean;
  isChosen: boolean;
  top: number;
}

/** Deeper is not indented any further, but numbered. */
const DEEPEST_INDENT = 12;
/** As much as there is room for in a line. */
const SHOWN_CHARACTERS = 300;

/** One value of a tree: its name, and what it is or how much is in it. */
export function ValueRow(props: ValueRowProps) {
  const { id, tree, node, depth, isUnfolded, isChosen, top } = props;
  const isContainer = tree.isContainer(node);
  const notes = notesOn(tree, node);
  return (
    <div
      id={id}
      role="treeitem"
      className={styles.row}
      data-node={node}
      aria-level={depth + 1}
      aria-posinset={tree.place(node) + 1}
      aria-setsize={node === 0 ? 1 : tree.size(tree.parent(node))}
      aria-expanded={isContainer ? isUnfolded : undefined}
      aria-selected={isChosen}
      style={{
        transform: `translateY(${String(top)}px)`,
        paddingLeft: 8 + 14 * Math.min(depth, DEEPEST_INDENT),
      }}
    >
      {depth > DEEPEST_INDENT && <span className={styles.level}>{formatCount(depth)}</span>}
      <span className={styles.twisty} aria-hidden="true">
        {isContainer ? (isUnfolded ? '▾' : '▸') : ''}
      </span>
      <span className={styles.text}>
        <Name tree={tree} node={node} />
        {isContainer && (
          <>
            <span className={values.mark}>{tree.kind(node) === KIND.object ? '{…}' : '[…]'}</span>{' '}
            <span className={styles.size}>{sizeInWords(tree, node)}</span>
          </>
        )}
        {isContainer && !isUnfolded && tree.size(node) > 0 && (
          <span className={styles.inside} aria-hidden="true">
            <ValueLine text={sourceUpTo(tree, node, 120)} most={118} />
          </span>
        )}
        {!isContainer && <Value tree={tree} node={node} />}
      </span>
      {notes.map(({ text, isWarning }) => (
        <span key={text} className={isWarning ? styles.warning : styles.note} title={text}>
          {text}
        </span>
      ))}
    </div>
  );
}

function Name({ tree, node }: { tree: ValueTree; node: number }) {
  const name = tree.keySource(node);
  if (name === null) {
    return node === 0 ? null : (
      <span className={values.mark}>{`${formatCount(tree.place(node))}: `}</span>
    );
  }
  const shown = name.length > 80 ? `${name.slice(0, 79)}…` : name;
  return (
    <>
      <span className={values.name}>{shown}</span>
      <span className={values.mark}>: </span>
    </>
  );
}

const CLASSES = ['mark', 'mark', 'string', 'number', 'word', 'bytes'] as const;

function Value({ tree, node }: { tree: ValueTree; node: number }) {
  const shown = sourceUpTo(tree, node, SHOWN_CHARACTERS);
  const length = tree.end(node) - tree.start(node);
  return (
    <>
      <span className={values[CLASSES[tree.kind(node)]]}>{shown}</span>
      {length > shown.length && (
        <span className={styles.size}> … {formatCount(length)} characters</span>
      )}
    </>
  );
}

function sourceUpTo(tree: ValueTree, node: number, most: number): string {
  const start = tree.start(node);
  return tree.text.slice(start, Math.min(tree.end(node), start + most));
}
