import { compareNumbers } from './decimal';
import { readJson } from './read-json';
import { KIND, type ValueTree } from './value-tree';

/** Selectors of RFC 9535; a bare number may be a name or an index, as in `params.0.id`. */
type Selector =
  | { readonly by: 'name'; readonly name: string }
  | { readonly by: 'index'; readonly index: number }
  | { readonly by: 'either'; readonly name: string; readonly index: number }
  | { readonly by: 'all' };

interface Segment {
  /** `..`: among all that is inside, too. */
  readonly isDeep: boolean;
  readonly selector: Selector;
}

type Operator = '==' | '!=' | '<' | '<=' | '>' | '>=';

/** A path, such as `$.params.id`. */
export type ValuePath = readonly Segment[];

/** A path, and what stands there is compared with. */
export interface ValueTest {
  readonly path: ValuePath;
  readonly comparison: { readonly operator: Operator; readonly value: ValueTree } | null;
}

export type PathReading<Read> =
  | { readonly ok: true; readonly value: Read }
  /** `problem` is one line, fit to stand beside the field. */
  | { readonly ok: false; readonly problem: string };

/** What `..` finds in a large message is without end, for who looks at it. */
const MOST_FOUND = 1_000;

const BARE_NAME = /[^\s.[\]'"=!<>*?@()]+/y;
const INDEX = /\[\s*(-?(?:0|[1-9]\d{0,9}))\s*\]/y;
const QUOTED_NAME = /\[\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')\s*\]/y;
const STAR = /\[\s*\*\s*\]/y;
const OPERATOR = /\s*(==|!=|<=|>=|<|>|=)\s*/y;

/** Reads `$.a.b[0]`, `a.b[0]`, `$['a b']`, `$..id`, `items[*].id`, `items.0.id`. */
export function readPath(typed: string): PathReading<ValuePath> {
  const reader = new PathReader(typed.trim());
  const path = reader.path();
  return reader.isAtEnd ? { ok: true, value: path } : reader.failure('a path');
}

/** Reads a path that may be followed by `==`, `!=`, `<`, `<=`, `>` or `>=` and a JSON value. */
export function readTest(typed: string): PathReading<ValueTest> {
  const reader = new PathReader(typed.trim());
  const path = reader.path();
  if (reader.isAtEnd) return { ok: true, value: { path, comparison: null } };
  const operator = reader.take(OPERATOR)?.[1];
  if (operator === undefined) return reader.failure('a path or a comparison');
  const value = readLiteral(reader.rest);
  if (value === null) {
    return {
      ok: false,
      problem: `After ${operator}: a number, true, false, null, or text in quotes.`,
    };
  }
  const comparison = { operator: operator === '=' ? '==' : (operator as Operator), value };
  return { ok: true, value: { path, comparison } };
}

class PathReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#text.length;
  }

  get rest(): string {
    return this.#text.slice(this.#at);
  }

  take(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text);
    if (found !== null) this.#at = pattern.lastIndex;
    return found;
  }

  failure(what: string): { ok: false; problem: string } {
    const found = this.isAtEnd ? 'it ends' : `“${this.rest.slice(0, 12)}” is none`;
    const isFilter = this.rest.startsWith('[?');
    return {
      ok: false,
      problem: isFilter
        ? 'Filters in brackets are not read here: write the path and compare, as in items[*].id == 7.'
        : `Character ${String(this.#at + 1)}: ${what} expected, ${found}.`,
    };
  }

  path(): ValuePath {
    const segments: Segment[] = [];
    const hasRoot = this.#text.startsWith('$');
    if (hasRoot) this.#at = 1;
    for (;;) {
      const before = this.#at;
      const isDeep = this.#text.startsWith('..', this.#at);
      if (isDeep) this.#at += 2;
      const hasDot = !isDeep && this.#text[this.#at] === '.';
      if (hasDot) this.#at += 1;
      const mayBeBare = isDeep || hasDot || (segments.length === 0 && !hasRoot);
      const selector = mayBeBare ? (this.#bare() ?? this.#bracketed(hasDot)) : this.#bracketed();
      if (selector === null) {
        this.#at = before;
        return segments;
      }
      segments.push({ isDeep, selector });
    }
  }

  #bare(): Selector | null {
    if (this.#text[this.#at] === '*') {
      this.#at += 1;
      return { by: 'all' };
    }
    const name = this.take(BARE_NAME)?.[0];
    if (name === undefined) return null;
    return /^(?:0|[1-9]\d{0,9})$/.test(name)
      ? { by: 'either', name, index: Number(name) }
      : { by: 'name', name };
  }

  #bracketed(isAfterDot = false): Selector | null {
    if (isAfterDot) return null;
    const index = this.take(INDEX)?.[1];
    if (index !== undefined) return { by: 'index', index: Number(index) };
    if (this.take(STAR) !== null) return { by: 'all' };
    const before = this.#at;
    const quoted = this.take(QUOTED_NAME)?.[1];
    const name = quoted === undefined ? null : unquote(quoted);
    if (name === null) this.#at = before;
    return name === null ? null : { by: 'name', name };
  }
}

/** A string in double or, as RFC 9535 has it too, in single quotes. */
function unquote(quoted: string): string | null {
  const inside = quoted
    .slice(1, -1)
    .replaceAll(/\\'|"|\\./g, (found) => (found === "\\'" ? "'" : found === '"' ? '\\"' : found));
  const asJson = quoted.startsWith("'") ? `"${inside}"` : quoted;
  try {
    return JSON.parse(asJson) as string;
  } catch {
    return null;
  }
}

function readLiteral(typed: string): ValueTree | null {
  const single = /^'(?:[^'\\]|\\.)*'$/.test(typed) ? unquote(typed) : null;
  const read = readJson(single === null ? typed : JSON.stringify(single));
  return read.ok && !read.tree.isContainer(0) ? read.tree : null;
}

/** The values at a path, in the order of the text, a thousand at most. */
export function nodesAt(tree: ValueTree, path: ValuePath): readonly number[] {
  let nodes: readonly number[] = [0];
  for (const { isDeep, selector } of path) {
    const found = new Set<number>();
    let lookedTo = 0;
    for (const node of nodes) {
      // All that is inside of a node follows it; what is inside of two is looked at once.
      const end = isDeep ? tree.after(node) : node + 1;
      for (let at = Math.max(node, lookedTo); at < end && found.size < MOST_FOUND; at++) {
        if (tree.isContainer(at)) select(tree, at, selector, found);
      }
      lookedTo = Math.max(lookedTo, end);
    }
    nodes = [...found].sort((a, b) => a - b);
  }
  return nodes;
}

function select(tree: ValueTree, node: number, selector: Selector, found: Set<number>): void {
  if (selector.by === 'all') {
    for (const child of tree.children(node)) {
      found.add(child);
      if (found.size >= MOST_FOUND) return;
    }
  } else if (tree.kind(node) === KIND.object) {
    if (selector.by === 'index') return;
    // All of that name: an object may have it twice.
    for (const child of tree.children(node)) {
      if (tree.hasKey(child, selector.name)) found.add(child);
    }
  } else if (selector.by !== 'name') {
    const place = selector.index < 0 ? tree.size(node) + selector.index : selector.index;
    if (place < 0 || place >= tree.size(node)) return;
    for (const child of tree.children(node)) {
      if (tree.place(child) !== place) continue;
      found.add(child);
      return;
    }
  }
}

/** Whether something stands at the path for which the comparison holds. */
export function passes(tree: ValueTree, { path, comparison }: ValueTest): boolean {
  const nodes = nodesAt(tree, path);
  if (comparison === null) return nodes.length > 0;
  return nodes.some((node) => holds(tree, node, comparison.operator, comparison.value));
}

/**
 * Whether a text can have something at the path at all, which is cheaper to find out than to read
 * the text: each name has to be in it, unless letters are escaped.
 */
export function mayHave(text: string, path: ValuePath): boolean {
  if (text.includes('\\')) return true;
  return path.every(({ selector }) => selector.by !== 'name' || text.includes(selector.name));
}

function holds(tree: ValueTree, node: number, operator: Operator, value: ValueTree): boolean {
  const isAlike = tree.kind(node) === value.kind(0);
  // Only numbers and strings have an order; of all others one knows whether they are the same.
  if (!isAlike) return operator === '!=';
  const order = compareAlike(tree, node, value);
  switch (operator) {
    case '==':
      return order === 0;
    case '!=':
      return order !== 0;
    case '<':
      return order < 0;
    case '<=':
      return order <= 0;
    case '>':
      return order > 0;
    case '>=':
      return order >= 0;
  }
}

function compareAlike(tree: ValueTree, node: number, value: ValueTree): number {
  const kind = tree.kind(node);
  if (kind === KIND.number) return compareNumbers(tree.source(node), value.source(0));
  const [own, other] = [tree.content(node), value.content(0)];
  if (own === other) return 0;
  if (kind !== KIND.string) return NaN;
  return own < other ? -1 : 1;
}

/** The path of a node as RFC 9535 writes it, names short where they may be: `$.a['b c'][0]`. */
export function pathOf(tree: ValueTree, node: number): string {
  const parts: string[] = [];
  for (let at = node; tree.parent(at) !== -1; at = tree.parent(at)) {
    const key = tree.key(at);
    parts.push(key === null ? `[${String(tree.place(at))}]` : segmentOf(key));
  }
  return `$${parts.reverse().join('')}`;
}

function segmentOf(name: string): string {
  return /^[\p{L}_][\p{L}\d_]*$/u.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
}
