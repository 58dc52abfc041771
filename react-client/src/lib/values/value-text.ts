import { KIND, type ValueTree } from './value-tree';

/** A part of a text by what it is, for its colour. */
export interface Span {
  readonly kind: 'name' | 'string' | 'number' | 'word' | 'bytes' | 'mark';
  readonly text: string;
}

const TOKEN =
  /\s+|(?<string>"(?:[^"\\]|\\.)*"?)|(?<bytes>h'[0-9a-f…]*'?)|[{}[\],:]+|[^\s{}[\],:"]+/gsy;
const NUMBER = /^[-+]?(?:\d|Infinity|NaN)/;

/**
 * The beginning of a text as one line of spans, at most `most` characters of the text. It tells
 * what each part is by its letters alone, so that of a long text only the beginning is looked at.
 */
export function lineSpans(text: string, most: number): { spans: Span[]; isCut: boolean } {
  const spans: Span[] = [];
  const shown = text.slice(0, most).trim();
  for (const { 0: token, index, groups } of shown.matchAll(TOKEN)) {
    const isName = /^\s*:/.test(shown.slice(index + token.length, index + token.length + 8));
    const kind = isMark(token)
      ? 'mark'
      : isName
        ? 'name'
        : groups?.string !== undefined
          ? 'string'
          : groups?.bytes !== undefined
            ? 'bytes'
            : NUMBER.test(token)
              ? 'number'
              : 'word';
    const last = spans.at(-1);
    const said = token.replace(/^\s+$/, ' ');
    if (last?.kind === kind) {
      spans[spans.length - 1] = { kind, text: last.text + said };
    } else spans.push({ kind, text: said });
  }
  return { spans, isCut: text.length > most };
}

function isMark(token: string): boolean {
  return /^[\s{}[\],:]/.test(token);
}

/** Deeper is not indented any further: else a message of brackets would become a thousand times as long. */
const DEEPEST_INDENT = 32;

/** A text with a line for each value, as `JSON.stringify(…, null, 2)` has it, of what was written. */
export function indented(
  tree: ValueTree,
  mostCharacters = Infinity,
): { text: string; isCut: boolean } {
  const lines: string[] = [];
  let characters = 0;
  const say = (depth: number, line: string) => {
    const said = '  '.repeat(Math.min(depth, DEEPEST_INDENT)) + line;
    lines.push(said);
    characters += said.length + 1;
  };
  const open: number[] = [];
  let node = 0;
  while (node < tree.count && characters <= mostCharacters) {
    const key = tree.keySource(node);
    const name = key === null ? '' : `${key}: `;
    const isOpening = tree.isContainer(node) && tree.size(node) > 0;
    if (isOpening) {
      say(open.length, name + (tree.kind(node) === KIND.object ? '{' : '['));
      open.push(node);
    } else {
      const value = tree.isContainer(node) ? EMPTY[tree.kind(node)] : tree.source(node);
      say(open.length, `${name}${value ?? ''}${commaAfter(tree, node)}`);
    }
    node += 1;
    for (let last = open.at(-1); last !== undefined && tree.after(last) === node;) {
      open.pop();
      const closing = tree.kind(last) === KIND.object ? '}' : ']';
      say(open.length, closing + commaAfter(tree, last));
      last = open.at(-1);
    }
  }
  return { text: lines.join('\n'), isCut: node < tree.count };
}

const EMPTY: Readonly<Record<number, string>> = { [KIND.object]: '{}', [KIND.array]: '[]' };

function commaAfter(tree: ValueTree, node: number): string {
  const parent = tree.parent(node);
  return parent === -1 || tree.place(node) === tree.size(parent) - 1 ? '' : ',';
}
