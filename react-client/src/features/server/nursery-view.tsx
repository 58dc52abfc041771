import { useState } from 'react';

import button from '../../components/button.module.css';
import { consoleJson } from '../../lib/console-fetch';
import { formatClock, formatCount, formatPlural } from '../../lib/figures';
import { countTasks, readTaskTree, type TaskNode } from './nursery-tree';
import styles from './nursery-view.module.css';

interface Picture {
  readonly tree: TaskNode;
  readonly takenAtS: number;
}

/** Deeper than this, branches start closed. */
const OPEN_DEPTH = 4;

/** What structured concurrency looks like in the running server: who waits for whom. */
export function NurseryView() {
  const [picture, setPicture] = useState<Picture | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [isAsking, setIsAsking] = useState(false);

  const ask = async () => {
    setIsAsking(true);
    setProblem(null);
    try {
      const tree = readTaskTree(await consoleJson('api/tasks'));
      if (tree === null) throw new Error('The console sent no task tree.');
      setPicture({ tree, takenAtS: Date.now() / 1000 });
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    } finally {
      setIsAsking(false);
    }
  };

  return (
    <section className={styles.nurseries} aria-labelledby="nurseries">
      <header className={styles.header}>
        <h3 id="nurseries" className={styles.title}>
          Nursery tree
        </h3>
        <button
          type="button"
          className={button.smallQuiet}
          aria-disabled={isAsking}
          onClick={() => {
            if (!isAsking) void ask();
          }}
        >
          {picture === null ? 'Show the tasks' : 'Refresh'}
        </button>
      </header>
      <p className={styles.lead}>
        Every connection is one task in a nursery, and no task outlives the nursery that waits for
        it. Tasks of the same name and shape are folded into one line.
      </p>
      {problem !== null && (
        <p role="alert" className={styles.problem}>
          {problem}
        </p>
      )}
      {picture !== null && (
        <>
          <p className={styles.lead} role="status">
            {formatPlural(countTasks(picture.tree), 'task', 'tasks')} at{' '}
            {formatClock(picture.takenAtS)}
          </p>
          <ul className={styles.tree}>
            <Branch node={picture.tree} depth={0} />
          </ul>
        </>
      )}
    </section>
  );
}

function Branch({ node, depth }: { node: TaskNode; depth: number }) {
  if (node.children.length === 0) {
    return (
      <li className={styles.leaf}>
        <Task node={node} />
      </li>
    );
  }
  return (
    <li>
      <details open={depth < OPEN_DEPTH}>
        <summary className={styles.branch}>
          <Task node={node} />
        </summary>
        <ul className={styles.children}>
          {node.children.map((child, index) => (
            <Branch key={index} node={child} depth={depth + 1} />
          ))}
        </ul>
      </details>
    </li>
  );
}

function Task({ node: { name, count } }: { node: TaskNode }) {
  return (
    <>
      <code className={styles.name}>{name}</code>
      {count > 1 && <span className={styles.count}>× {formatCount(count)}</span>}
    </>
  );
}
