import { diffArrays } from 'diff';

import { canonicalNumber } from './decimal';
import { KIND, type ValueTree } from './value-tree';

/** One difference of two values, by the nodes of each. */
export type Difference =
  | { readonly what: 'changed'; readonly first: number; readonly second: number }
  | { readonly what: 'removed'; readonly first: number }
  | { readonly what: 'added'; readonly second: number };

export interface TreeComparison {
  /** In the order of the texts. */
  readonly differences: readonly Difference[];
  /** Whether there are more. */
  readonly isCut: boolean;
}

/** More would not be read. */
const MOST_DIFFERENCES = 1_000;

/** Lists that have less in common than this allows are compared item by item. */
const MOST_EDITS = 1_000;

/**
 * How two values differ: objects by name, whatever the order, lists by what they have in common,
 * numbers by what they are worth. However deep they are.
 */
export function compareTrees(
  first: ValueTree,
  second: ValueTree,
  most = MOST_DIFFERENCES,
): TreeComparison {
  const known = new Map<string, number>();
  const own = identitiesOf(first, known);
  const theirs = identitiesOf(second, known);
  const differences: Difference[] = [];
  // The last is looked at next.
  const waiting: Difference[] = [{ what: 'changed', first: 0, second: 0 }];
  for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
    if (differences.length === most) return { differences, isCut: true };
    if (one.what !== 'changed') {
      differences.push(one);
      continue;
    }
    if (own[one.first] === theirs[one.second]) continue;
    const kind = first.kind(one.first);
    const isAlike = kind === second.kind(one.second) && kind <= KIND.array;
    if (!isAlike) differences.push(one);
    else {
      const inside =
        kind === KIND.object
          ? pairsByName(first, one.first, second, one.second)
          : pairsInCommon(first, one.first, own, second, one.second, theirs);
      for (const pair of inside.reverse()) waiting.push(pair);
    }
  }
  return { differences, isCut: false };
}

/**
 * A number for each node, the same for the same value: of objects whatever the order of their names,
 * of numbers however they are written. A container's comes from those of what is in it, which is
 * after it in the order of the text, so that no depth is too deep.
 */
function identitiesOf(tree: ValueTree, known: Map<string, number>): Int32Array {
  const identities = new Int32Array(tree.count);
  for (let node = tree.count - 1; node >= 0; node--) {
    const meaning = meaningOf(tree, node, identities);
    const identity = known.get(meaning) ?? known.size;
    known.set(meaning, identity);
    identities[node] = identity;
  }
  return identities;
}

function meaningOf(tree: ValueTree, node: number, identities: Int32Array): string {
  const kind = tree.kind(node);
  if (kind === KIND.number) return `3${canonicalNumber(tree.source(node))}`;
  if (kind > KIND.array) return `${String(kind)}${tree.content(node)}`;
  const children = [...tree.children(node)];
  if (kind === KIND.array) return `1${children.map((child) => identities[child]).join()}`;
  const entries = children.map((child, place) => {
    return { name: JSON.stringify(tree.key(child)), place, identity: identities[child] };
  });
  // Of equal names the order counts: what a reader takes of them depends on it.
  entries.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.place - b.place));
  return `0${entries.map(({ name, identity }) => `${name}:${String(identity)}`).join()}`;
}

function pairsByName(
  first: ValueTree,
  firstNode: number,
  second: ValueTree,
  secondNode: number,
): Difference[] {
  const theirs = new Map<string | null, number[]>();
  // From behind, so that of equal names the first is taken first.
  for (const child of [...second.children(secondNode)].reverse()) {
    const name = second.key(child);
    const same = theirs.get(name);
    if (same === undefined) theirs.set(name, [child]);
    else same.push(child);
  }
  const pairs: Difference[] = [];
  for (const child of first.children(firstNode)) {
    const other = theirs.get(first.key(child))?.pop();
    pairs.push(
      other === undefined
        ? { what: 'removed', first: child }
        : { what: 'changed', first: child, second: other },
    );
  }
  const left = [...theirs.values()].flat().sort((a, b) => a - b);
  for (const child of left) pairs.push({ what: 'added', second: child });
  return pairs;
}

function pairsInCommon(
  first: ValueTree,
  firstNode: number,
  own: Int32Array,
  second: ValueTree,
  secondNode: number,
  theirs: Int32Array,
): Difference[] {
  const firsts = [...first.children(firstNode)];
  const seconds = [...second.children(secondNode)];
  const parts = diffArrays(
    firsts.map((child) => own[child]),
    seconds.map((child) => theirs[child]),
    { maxEditLength: MOST_EDITS },
  ) as readonly { count: number; added: boolean; removed: boolean }[] | undefined;
  if (parts === undefined) return pairUp(firsts, seconds);
  const pairs: Difference[][] = [];
  let [a, b] = [0, 0];
  let removed: number[] = [];
  let added: number[] = [];
  for (const { count, added: isAdded, removed: isRemoved } of parts) {
    if (isRemoved) removed = firsts.slice(a, a + count);
    else if (isAdded) added = seconds.slice(b, b + count);
    else {
      pairs.push(pairUp(removed, added));
      [removed, added] = [[], []];
    }
    if (!isAdded) a += count;
    if (!isRemoved) b += count;
  }
  return [...pairs, pairUp(removed, added)].flat();
}

/** What stands in one place of two lists is taken for the same, changed. */
function pairUp(firsts: readonly number[], seconds: readonly number[]): Difference[] {
  const both = Math.min(firsts.length, seconds.length);
  return [
    ...firsts.slice(0, both).map((first, index) => {
      return { what: 'changed', first, second: seconds[index] ?? 0 } as const;
    }),
    ...firsts.slice(both).map((first) => ({ what: 'removed', first }) as const),
    ...seconds.slice(both).map((second) => ({ what: 'added', second }) as const),
  ];
}
