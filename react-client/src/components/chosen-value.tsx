import { notesOn } from '../lib/values/value-notes';
import type { ValueTree } from '../lib/values/value-tree';
import { pathOf } from '../lib/values/value-path';
import button from './button.module.css';
import { CopyButton } from './copy-button';
import styles from './value-tree-view.module.css';

/** Something to do with a value of a message. */
export interface ValueAction {
  readonly name: string;
  /** Gets its path and, of what has nothing inside, the value as it was written. */
  readonly run: (path: string, source: string | null) => void;
}

interface ChosenValueProps {
  tree: ValueTree;
  node: number;
  actions: readonly ValueAction[];
}

/** More of a path, or of a value, is not for reading. */
const SHOWN_PATH = 400;
const SHOWN_VALUE = 2_000;

/** The chosen value of a tree with its path, to be read whole and taken elsewhere. */
export function ChosenValue({ tree, node, actions }: ChosenValueProps) {
  const path = pathOf(tree, node);
  const start = tree.start(node);
  const source = tree.text.slice(start, Math.min(tree.end(node), start + SHOWN_VALUE));
  const isCut = tree.end(node) - start > SHOWN_VALUE;
  const notes = notesOn(tree, node);
  return (
    <div className={styles.chosen}>
      <dl>
        <div className={styles.fact}>
          <dt>Path</dt>
          <dd>
            <code className={styles.path} title={path.slice(0, SHOWN_PATH)}>
              {path.length > SHOWN_PATH ? `…${path.slice(-SHOWN_PATH)}` : path}
            </code>
            <CopyButton key={node} text={path} label="the path" />
          </dd>
        </div>
        <div className={styles.fact}>
          <dt>Value</dt>
          <dd>
            {/* A region that scrolls must be reachable by keyboard. */}
            {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
            <code className={styles.whole} tabIndex={0} dir="auto">
              {source}
              {isCut && '…'}
            </code>
            <CopyButton key={node} text={() => tree.content(node)} label="the value" />
          </dd>
        </div>
        {notes.length > 0 && (
          <div className={styles.fact}>
            <dt>Note</dt>
            <dd className={styles.notes}>{notes.map(({ text }) => text).join(' · ')}</dd>
          </div>
        )}
      </dl>
      {actions.length > 0 && (
        <div className={styles.actions}>
          {actions.map(({ name, run }) => (
            <button
              key={name}
              type="button"
              className={button.smallQuiet}
              onClick={() => {
                run(path, tree.isContainer(node) ? null : tree.source(node));
              }}
            >
              {name}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
