/** So many tasks of one name, and what runs in the nurseries of each. */
export interface TaskNode {
  readonly name: string;
  readonly count: number;
  readonly children: readonly TaskNode[];
}

/** Reads what `/api/tasks` sends; `null` if it is no tree. */
export function readTaskTree(value: unknown): TaskNode | null {
  if (typeof value !== 'object' || value === null) return null;
  const { name, count, children, nurseries } = value as Record<string, unknown>;
  if (typeof name !== 'string') return null;
  // A task may have several nurseries; whose child one is tells little, so they are shown as one.
  const nested: unknown[] = [
    ...asList(children),
    ...asList(nurseries).flatMap((nursery) =>
      typeof nursery === 'object' && nursery !== null && 'children' in nursery
        ? asList(nursery.children)
        : [],
    ),
  ];
  return {
    name,
    count: typeof count === 'number' ? count : 1,
    children: nested.map(readTaskTree).filter((node) => node !== null),
  };
}

/** All tasks of a tree: those that were folded into one node count each. */
export function countTasks({ count, children }: TaskNode): number {
  return count * (1 + children.reduce((sum, child) => sum + countTasks(child), 0));
}

function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
