import { defaultRangeExtractor, useVirtualizer } from '@tanstack/react-virtual';
import { type KeyboardEvent, useId, useMemo, useRef, useState } from 'react';

import { formatCount } from '../lib/figures';
import { firstUnfolded, MOST_ROWS, rowsOf, withFold } from '../lib/values/tree-rows';
import type { ValueTree } from '../lib/values/value-tree';
import button from './button.module.css';
import { ChosenValue, type ValueAction } from './chosen-value';
import styles from './value-tree-view.module.css';
import { ValueRow } from './value-row';
import values from './values.module.css';

interface ValueTreeViewProps {
  tree: ValueTree;
  label: string;
  /** What can be done with the chosen value. */
  actions?: readonly ValueAction[];
}

/** So much is unfolded at first: some screens full. */
const FIRST_ROWS = 120;
const ROW_HEIGHT_PX = 24;
const PAGE_ROWS = 10;

/**
 * A value with all that is in it, to fold and unfold. One of its rows is chosen, which the keyboard
 * moves as the ARIA practices have it for trees; only the rows in view exist in the document.
 */
export function ValueTreeView({ tree, label, actions = [] }: ValueTreeViewProps) {
  const [unfolded, setUnfolded] = useState(() => firstUnfolded(tree, FIRST_ROWS));
  const [chosen, setChosen] = useState(0);
  const scroller = useRef<HTMLDivElement>(null);
  const typed = useRef({ text: '', atMs: -Infinity });
  const id = useId();

  const rows = useMemo(() => rowsOf(tree, unfolded), [tree, unfolded]);
  const chosenIndex = indexOf(rows.nodes, chosen);
  const list = useVirtualizer({
    count: rows.nodes.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT_PX,
    getItemKey: (index) => rows.nodes[index] ?? index,
    overscan: 6,
    // What a screen reader is told to be active has to be there, wherever one has scrolled to.
    rangeExtractor: (range) => {
      const inView = defaultRangeExtractor(range);
      return inView.includes(chosenIndex) ? inView : [...inView, chosenIndex].sort(ascending);
    },
  });

  const choose = (index: number) => {
    const node = rows.nodes[Math.max(0, Math.min(index, rows.nodes.length - 1))];
    if (node === undefined) return;
    setChosen(node);
    list.scrollToIndex(indexOf(rows.nodes, node));
  };
  const fold = (nodes: Iterable<number>, isUnfolded: boolean) => {
    setUnfolded((was) => withFold(was, nodes, isUnfolded));
  };
  const isUnfolded = (node: number) => unfolded[node] === 1;
  const foldAll = () => {
    setUnfolded(withFold(new Uint8Array(tree.count), [0], true));
    setChosen(0);
  };
  const unfoldAll = () => {
    setUnfolded(new Uint8Array(tree.count).fill(1));
  };
  const toggle = (node: number) => {
    if (tree.isContainer(node)) fold([node], !isUnfolded(node));
  };

  const goInside = () => {
    if (!tree.isContainer(chosen)) return;
    if (!isUnfolded(chosen)) fold([chosen], true);
    else if (tree.size(chosen) > 0) choose(chosenIndex + 1);
  };
  const goOutside = () => {
    if (tree.isContainer(chosen) && isUnfolded(chosen)) fold([chosen], false);
    else if (chosen !== 0) choose(indexOf(rows.nodes, tree.parent(chosen)));
  };
  /** Goes to the next name that begins with what is typed. */
  const find = (character: string) => {
    const nowMs = performance.now();
    const isLater = nowMs - typed.current.atMs > 700;
    const text = (isLater ? '' : typed.current.text) + character.toLowerCase();
    typed.current = { text, atMs: nowMs };
    const { nodes } = rows;
    for (let step = isLater ? 1 : 0; step <= nodes.length; step++) {
      const index = (chosenIndex + step) % nodes.length;
      if (
        tree
          .key(nodes[index] ?? 0)
          ?.toLowerCase()
          .startsWith(text)
      ) {
        choose(index);
        return;
      }
    }
  };

  const press = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const parent = tree.parent(chosen);
    const keys: Readonly<Record<string, () => void>> = {
      ArrowDown: () => choose(chosenIndex + 1),
      ArrowUp: () => choose(chosenIndex - 1),
      ArrowRight: goInside,
      ArrowLeft: goOutside,
      Home: () => choose(0),
      End: () => choose(rows.nodes.length - 1),
      PageDown: () => choose(chosenIndex + PAGE_ROWS),
      PageUp: () => choose(chosenIndex - PAGE_ROWS),
      Enter: () => toggle(chosen),
      ' ': () => toggle(chosen),
      '*': () => fold(parent === -1 ? [0] : tree.children(parent), true),
    };
    const act = keys[event.key];
    if (act !== undefined) act();
    else if (event.key.length === 1) find(event.key);
    else return;
    event.preventDefault();
    // Single keys are shortcuts of the page elsewhere.
    event.stopPropagation();
  };

  return (
    <div className={styles.view}>
      <div className={styles.tools}>
        <button type="button" className={button.tool} onClick={unfoldAll}>
          Unfold all
        </button>
        <button type="button" className={button.tool} onClick={foldAll}>
          Fold all
        </button>
        <span className={styles.count}>
          {rows.isCut
            ? `Only the first ${formatCount(MOST_ROWS)} rows are shown: fold something.`
            : `${formatCount(tree.count)} ${tree.count === 1 ? 'value' : 'values'}`}
        </span>
      </div>
      {/* Clicks only do what the keys of the tree do. */}
      <div
        ref={scroller}
        className={`${values.tree ?? ''} ${styles.tree ?? ''}`}
        role="tree"
        aria-label={label}
        tabIndex={0}
        aria-activedescendant={`${id}-${String(chosen)}`}
        onKeyDown={press}
        onClick={({ target }) => {
          const row = target instanceof Element ? target.closest('[data-node]') : null;
          if (!(row instanceof HTMLElement)) return;
          const node = Number(row.dataset.node);
          setChosen(node);
          toggle(node);
        }}
      >
        <div role="none" className={styles.rows} style={{ height: list.getTotalSize() }}>
          {list.getVirtualItems().map(({ index, start }) => {
            const node = rows.nodes[index];
            if (node === undefined) return null;
            return (
              <ValueRow
                key={node}
                id={`${id}-${String(node)}`}
                tree={tree}
                node={node}
                depth={rows.depths[index] ?? 0}
                isUnfolded={isUnfolded(node)}
                isChosen={node === chosen}
                top={start}
              />
            );
          })}
        </div>
      </div>
      <ChosenValue tree={tree} node={chosen} actions={actions} />
    </div>
  );
}

/** Where a node stands among others, which ascend; where it is hidden, what it is in. */
function indexOf(nodes: readonly number[], node: number): number {
  let low = 0;
  let high = nodes.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((nodes[middle] ?? 0) <= node) low = middle;
    else high = middle - 1;
  }
  return low;
}

function ascending(a: number, b: number): number {
  return a - b;
}
