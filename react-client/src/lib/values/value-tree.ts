/** Kinds of values; all but the first two have nothing inside. */
export const KIND = {
  object: 0,
  array: 1,
  string: 2,
  number: 3,
  /** `true`, `false`, `null` and what else has a name of its own. */
  word: 4,
  /** Of binary formats: `h'00ff'`. */
  bytes: 5,
} as const;
export type Kind = (typeof KIND)[keyof typeof KIND];

/** The columns of a node. */
const COLUMNS = 10;
const [START, END, KEY_START, KEY_END, PARENT, AFTER, SIZE, PLACE, KIND_OF, BYTE] = [
  0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
] as const;

const NONE = -1;
const FEW_NODES = 16;

/**
 * The values that a text is made of, each known by where it stands in that text, so that what is
 * shown of a value is what was written: a number keeps all of its digits, and a name that stands
 * twice in an object is there twice.
 *
 * Nodes are numbered in the order of the text: 0 is the whole, the first child of `n` is `n + 1`,
 * and `after(n)` is the first node that is neither `n` nor inside of it. They lie in one array of
 * integers: of a million values no object is made, and no depth is too deep.
 */
export class ValueTree {
  readonly text: string;
  readonly count: number;
  /** Further facts about nodes, such as the type that a binary format gives them. */
  readonly notes: ReadonlyMap<number, string>;
  /** Whether a name that stands twice in an object is worth a warning. */
  readonly hasUniqueNames: boolean;
  readonly #nodes: Int32Array;

  constructor(
    text: string,
    count: number,
    nodes: Int32Array,
    notes: ReadonlyMap<number, string>,
    hasUniqueNames: boolean,
  ) {
    this.text = text;
    this.count = count;
    this.#nodes = nodes;
    this.notes = notes;
    this.hasUniqueNames = hasUniqueNames;
  }

  kind(node: number): Kind {
    return this.#at(node, KIND_OF) as Kind;
  }

  isContainer(node: number): boolean {
    return this.#at(node, KIND_OF) <= KIND.array;
  }

  start(node: number): number {
    return this.#at(node, START);
  }

  end(node: number): number {
    return this.#at(node, END);
  }

  /** -1 for the whole. */
  parent(node: number): number {
    return this.#at(node, PARENT);
  }

  /** The first node after it that is not inside of it; `count` where there is none. */
  after(node: number): number {
    return this.#at(node, AFTER);
  }

  /** How many children it has. */
  size(node: number): number {
    return this.#at(node, SIZE);
  }

  /** Which of its parent's children it is, from 0. */
  place(node: number): number {
    return this.#at(node, PLACE);
  }

  /** The byte at which a binary format has it; -1 for a text's. */
  byteAt(node: number): number {
    return this.#at(node, BYTE);
  }

  /** The value as it was written. */
  source(node: number): string {
    return this.text.slice(this.start(node), this.end(node));
  }

  /** The name as it was written, with its quotes; `null` for what has none. */
  keySource(node: number): string | null {
    const start = this.#at(node, KEY_START);
    return start === NONE ? null : this.text.slice(start, this.#at(node, KEY_END));
  }

  /** The name that is meant; `null` for what has none. */
  key(node: number): string | null {
    const source = this.keySource(node);
    return source === null ? null : unquoted(source);
  }

  /** Whether it has this name, without making a text of it where that can be avoided. */
  hasKey(node: number, name: string): boolean {
    const start = this.#at(node, KEY_START);
    if (start === NONE) return false;
    const length = this.#at(node, KEY_END) - start;
    if (this.text.charCodeAt(start) !== QUOTE) {
      return length === name.length && this.text.startsWith(name, start);
    }
    if (length === name.length + 2 && this.text.startsWith(name, start + 1)) {
      if (!name.includes('\\')) return true;
    }
    // An escape takes more room than what it stands for.
    return length > name.length + 2 && this.key(node) === name;
  }

  /** What a string says, and all else as it was written. */
  content(node: number): string {
    const source = this.source(node);
    return this.kind(node) === KIND.string ? unquoted(source) : source;
  }

  *children(node: number): Generator<number, void> {
    const end = this.after(node);
    for (let child = node + 1; child < end; child = this.after(child)) yield child;
  }

  #at(node: number, column: number): number {
    return this.#nodes[node * COLUMNS + column] ?? NONE;
  }
}

const QUOTE = 0x22;

function unquoted(source: string): string {
  if (source.charCodeAt(0) !== QUOTE) return source;
  return source.includes('\\') ? (JSON.parse(source) as string) : source.slice(1, -1);
}

/** Where the name of a value stands, and where the value does among a message's bytes. */
export interface NodePlace {
  readonly keyStart: number;
  readonly keyEnd: number;
  readonly byteAt: number;
}

export const NO_PLACE: NodePlace = { keyStart: NONE, keyEnd: NONE, byteAt: NONE };

/** Makes a tree, value after value in the order of the text. */
export class TreeBuilder {
  #nodes = new Int32Array(FEW_NODES * COLUMNS);
  #count = 0;
  /** The innermost container that is still open. */
  #open = NONE;
  readonly #notes = new Map<number, string>();

  get isInContainer(): boolean {
    return this.#open !== NONE;
  }

  get isInObject(): boolean {
    return this.#open !== NONE && this.#nodes[this.#open * COLUMNS + KIND_OF] === KIND.object;
  }

  get count(): number {
    return this.#count;
  }

  /** Adds what has nothing inside. */
  add(kind: Kind, start: number, end: number, place: NodePlace = NO_PLACE): number {
    const node = this.#new(kind, start, place);
    this.#end(node, end);
    return node;
  }

  /** Begins a container: what is added until it is closed is inside of it. */
  open(kind: Kind, start: number, place: NodePlace = NO_PLACE): number {
    this.#open = this.#new(kind, start, place);
    return this.#open;
  }

  close(end: number): void {
    const node = this.#open;
    this.#end(node, end);
    this.#open = this.#nodes[node * COLUMNS + PARENT] ?? NONE;
  }

  note(node: number, note: string): void {
    this.#notes.set(node, note);
  }

  tree(text: string, hasUniqueNames = true): ValueTree {
    return new ValueTree(text, this.#count, this.#nodes, this.#notes, hasUniqueNames);
  }

  #new(kind: Kind, start: number, { keyStart, keyEnd, byteAt }: NodePlace): number {
    const node = this.#count;
    const at = node * COLUMNS;
    if (at === this.#nodes.length) {
      const roomier = new Int32Array(this.#nodes.length * 2);
      roomier.set(this.#nodes);
      this.#nodes = roomier;
    }
    this.#count += 1;
    const nodes = this.#nodes;
    nodes[at + START] = start;
    nodes[at + KEY_START] = keyStart;
    nodes[at + KEY_END] = keyEnd;
    nodes[at + PARENT] = this.#open;
    nodes[at + KIND_OF] = kind;
    nodes[at + BYTE] = byteAt;
    if (this.#open !== NONE) {
      const size = this.#open * COLUMNS + SIZE;
      nodes[at + PLACE] = nodes[size] ?? 0;
      nodes[size] = (nodes[size] ?? 0) + 1;
    }
    return node;
  }

  #end(node: number, end: number): void {
    this.#nodes[node * COLUMNS + END] = end;
    this.#nodes[node * COLUMNS + AFTER] = this.#count;
  }
}
