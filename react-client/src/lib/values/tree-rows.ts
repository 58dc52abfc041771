import { KIND, type ValueTree } from './value-tree';

/** What is unfolded: a bit of each node. */
export type Unfolded = Uint8Array;

export interface TreeRows {
  /** What is to be seen, in the order of the text. */
  readonly nodes: readonly number[];
  /** Of each of `nodes`, in how many others it is. */
  readonly depths: readonly number[];
  /** Whether there is more than may be shown at once. */
  readonly isCut: boolean;
}

/** Browsers lay out no more than some 17 million pixels. */
export const MOST_ROWS = 500_000;

/** The whole and what is in it, and further in as long as all of it is `most` rows. */
export function firstUnfolded(tree: ValueTree, most: number): Unfolded {
  const unfolded: Unfolded = new Uint8Array(tree.count);
  const queue = [0];
  let rows = 1;
  for (let at = 0; at < queue.length && rows <= most; at++) {
    const node = queue[at] ?? 0;
    if (!tree.isContainer(node) || (node !== 0 && rows + tree.size(node) > most)) continue;
    unfolded[node] = 1;
    rows += tree.size(node);
    if (rows > most) break;
    for (const child of tree.children(node)) queue.push(child);
  }
  return unfolded;
}

export function rowsOf(tree: ValueTree, unfolded: Unfolded, most = MOST_ROWS): TreeRows {
  const nodes: number[] = [];
  const depths: number[] = [];
  const ends: number[] = [];
  let node = 0;
  while (node < tree.count && nodes.length < most) {
    while ((ends.at(-1) ?? Infinity) <= node) ends.pop();
    nodes.push(node);
    depths.push(ends.length);
    if (tree.isContainer(node) && unfolded[node] === 1) {
      ends.push(tree.after(node));
      node += 1;
    } else node = tree.after(node);
  }
  return { nodes, depths, isCut: node < tree.count };
}

/** With this one, and all that it is in, unfolded or folded. */
export function withFold(
  unfolded: Unfolded,
  nodes: Iterable<number>,
  isUnfolded: boolean,
): Unfolded {
  const changed: Unfolded = unfolded.slice();
  for (const node of nodes) changed[node] = Number(isUnfolded);
  return changed;
}

/** What is in it, as one says it: `3 names`, `1 item`. */
export function sizeInWords(tree: ValueTree, node: number): string {
  const size = tree.size(node);
  const [one, many] = tree.kind(node) === KIND.object ? ['name', 'names'] : ['item', 'items'];
  return `${size.toLocaleString('en')} ${size === 1 ? one : many}`;
}

/** Of the names of an object that stand there more than once: which of how many each is. */
export function repeatedNames(
  tree: ValueTree,
  object: number,
): ReadonlyMap<number, { readonly place: number; readonly of: number }> {
  const repeated = new Map<number, { place: number; of: number }>();
  if (!tree.hasUniqueNames || tree.kind(object) !== KIND.object) return repeated;
  const byName = new Map<string, number[]>();
  for (const child of tree.children(object)) {
    const name = tree.key(child) ?? '';
    const same = byName.get(name);
    if (same === undefined) byName.set(name, [child]);
    else same.push(child);
  }
  for (const same of byName.values()) {
    if (same.length === 1) continue;
    same.forEach((node, index) => repeated.set(node, { place: index + 1, of: same.length }));
  }
  return repeated;
}
