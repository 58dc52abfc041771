import { formatCount } from '../figures';
import { asDoubleIfOther } from './decimal';
import { repeatedNames } from './tree-rows';
import { KIND, type ValueTree } from './value-tree';

/** A number of so many digits nobody takes for a double. */
const LONGEST_COMPARED = 300;

export interface Note {
  readonly text: string;
  readonly isWarning: boolean;
}

/** What one would not see, or believe, without being told. */
export function notesOn(tree: ValueTree, node: number): readonly Note[] {
  const notes: Note[] = [];
  const repeated = repeatedIn(tree, tree.parent(node)).get(node);
  if (repeated !== undefined) {
    const { place, of } = repeated;
    notes.push({ text: `same name, ${String(place)} of ${String(of)}`, isWarning: true });
  }
  if (tree.kind(node) === KIND.number && tree.end(node) - tree.start(node) < LONGEST_COMPARED) {
    const double = asDoubleIfOther(tree.source(node));
    if (double !== null) notes.push({ text: `as a double ${double}`, isWarning: true });
  }
  const note = tree.notes.get(node);
  if (note !== undefined) notes.push({ text: note, isWarning: false });
  const byte = tree.byteAt(node);
  if (byte !== -1) notes.push({ text: `byte ${formatCount(byte)}`, isWarning: false });
  return notes;
}

/** Of each tree and object, found once: an object may have very many names. */
const found = new WeakMap<ValueTree, Map<number, ReturnType<typeof repeatedNames>>>();

function repeatedIn(tree: ValueTree, object: number): ReturnType<typeof repeatedNames> {
  if (object === -1) return new Map();
  const ofTree = found.get(tree) ?? new Map<number, ReturnType<typeof repeatedNames>>();
  found.set(tree, ofTree);
  const known = ofTree.get(object) ?? repeatedNames(tree, object);
  ofTree.set(object, known);
  return known;
}
