import { KIND, NO_PLACE, type NodePlace, TreeBuilder, type ValueTree } from './value-tree';

/** Why a text is no JSON, and where: characters from 0, lines and columns from 1. */
export interface TextProblem {
  readonly what: string;
  readonly at: number;
  readonly line: number;
  readonly column: number;
}

export type JsonReading =
  | { readonly ok: true; readonly tree: ValueTree }
  | { readonly ok: false; readonly problem: TextProblem };

/** More than this would take the page noticeable time and memory: 4 Mi characters. */
export const MOST_CHARACTERS = 4 * 1024 * 1024;

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const FOUR_DIGITS = /[0-9a-fA-F]{4}/y;

/** Reads JSON (RFC 8259) as `JSON.parse` takes it, however deep. */
export function readJson(text: string): JsonReading {
  const reader = new Reader(text);
  const tree = reader.read();
  if (tree !== null) return { ok: true, tree };
  const { at, what } = reader.failure;
  return { ok: false, problem: { what, at, ...lineOf(text, at) } };
}

/** Whether a text looks as if it should be JSON that has something inside. */
export function looksLikeJson(text: string): boolean {
  return /^[ \t\r\n]*[[{]/.test(text);
}

/** An object or an array; `null` for all else, a bare number or string among it. */
export function readJsonContainer(text: string): ValueTree | null {
  if (text.length > MOST_CHARACTERS || !looksLikeJson(text)) return null;
  const read = readJson(text);
  return read.ok ? read.tree : null;
}

function lineOf(text: string, at: number): { line: number; column: number } {
  let line = 1;
  let lineStart = 0;
  for (let end = text.indexOf('\n'); end !== -1 && end < at; end = text.indexOf('\n', end + 1)) {
    line += 1;
    lineStart = end + 1;
  }
  return { line, column: at - lineStart + 1 };
}

class Reader {
  failure = { at: 0, what: '' };
  readonly #text: string;
  readonly #builder = new TreeBuilder();
  #at = 0;
  /** Of the value to come. */
  #place: NodePlace = NO_PLACE;

  constructor(text: string) {
    this.#text = text;
  }

  /**
   * Returns `null` where it is none, and `failure` says why. Not by recursion: twenty thousand
   * brackets would be twenty thousand calls deep.
   */
  read(): ValueTree | null {
    for (;;) {
      this.#skipSpace();
      const begun = this.#beginValue();
      if (begun === 'failed') return null;
      if (begun === 'inside') continue;
      // What ends a value may end what it is in, too.
      let next: 'value' | 'ended' | 'failed' = 'ended';
      while (next === 'ended' && this.#builder.isInContainer) next = this.#goOn();
      if (next === 'failed') return null;
      if (next === 'ended') return this.#endText();
    }
  }

  /** Reads a value; of a container with something inside, what comes before its first value. */
  #beginValue(): 'whole' | 'inside' | 'failed' {
    const start = this.#at;
    const first = this.#text[start];
    if (first === '{' || first === '[') {
      const isObject = first === '{';
      this.#builder.open(isObject ? KIND.object : KIND.array, start, this.#takePlace());
      this.#at += 1;
      this.#skipSpace();
      if (this.#text[this.#at] === (isObject ? '}' : ']')) {
        this.#at += 1;
        this.#builder.close(this.#at);
        return 'whole';
      }
      return !isObject || this.#readName(' or “}”') ? 'inside' : 'failed';
    }
    if (first === '"') {
      if (!this.#skipString()) return 'failed';
      this.#builder.add(KIND.string, start, this.#at, this.#takePlace());
      return 'whole';
    }
    const isWord = this.#readWord(NUMBER, KIND.number) || this.#readWord(WORD, KIND.word);
    if (!isWord) this.#fail('a value');
    return isWord ? 'whole' : 'failed';
  }

  /** Goes on after a value in a container: to the next one, or to the container's end. */
  #goOn(): 'value' | 'ended' | 'failed' {
    this.#skipSpace();
    const { isInObject } = this.#builder;
    const found = this.#text[this.#at];
    if (found === ',') {
      this.#at += 1;
      this.#skipSpace();
      return !isInObject || this.#readName('') ? 'value' : 'failed';
    }
    if (found === (isInObject ? '}' : ']')) {
      this.#at += 1;
      this.#builder.close(this.#at);
      return 'ended';
    }
    this.#fail(isInObject ? '“,” or “}”' : '“,” or “]”');
    return 'failed';
  }

  #endText(): ValueTree | null {
    this.#skipSpace();
    if (this.#at === this.#text.length) return this.#builder.tree(this.#text);
    this.#fail('the end of the text');
    return null;
  }

  #readName(orElse: string): boolean {
    if (this.#text[this.#at] !== '"') return this.#fail(`a name in double quotes${orElse}`);
    const keyStart = this.#at;
    if (!this.#skipString()) return false;
    this.#place = { keyStart, keyEnd: this.#at, byteAt: -1 };
    this.#skipSpace();
    if (this.#text[this.#at] !== ':') return this.#fail('“:”');
    this.#at += 1;
    return true;
  }

  #takePlace(): NodePlace {
    const place = this.#place;
    this.#place = NO_PLACE;
    return place;
  }

  #readWord(pattern: RegExp, kind: typeof KIND.number | typeof KIND.word): boolean {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#text)) return false;
    this.#builder.add(kind, this.#at, pattern.lastIndex, this.#takePlace());
    this.#at = pattern.lastIndex;
    return true;
  }

  #skipString(): boolean {
    const text = this.#text;
    const start = this.#at;
    for (let at = start + 1; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === 0x22) {
        this.#at = at + 1;
        return true;
      }
      if (code < 0x20) {
        this.#at = at;
        return this.#say(`a control character (U+${hex4(code)}) in a string has to be escaped`);
      }
      if (code !== 0x5c) continue;
      at += 1;
      if (text[at] === 'u') {
        FOUR_DIGITS.lastIndex = at + 1;
        if (!FOUR_DIGITS.test(text) && at + 4 < text.length) {
          this.#at = at - 1;
          return this.#say('“\\u” needs four hex digits');
        }
        at += 4;
      } else if (at < text.length && !'"\\/bfnrt'.includes(text[at] ?? '')) {
        this.#at = at - 1;
        return this.#say(`“\\${charAt(text, at)}” is no escape`);
      }
    }
    return this.#say('the string that begins here does not end');
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at += 1;
    }
  }

  #fail(expected: string): false {
    const found =
      this.#at >= this.#text.length ? 'the text ends' : `“${charAt(this.#text, this.#at)}” found`;
    return this.#say(`${expected} expected, ${found}`);
  }

  #say(what: string): false {
    this.failure = { at: this.#at, what };
    return false;
  }
}

function charAt(text: string, at: number): string {
  const code = text.codePointAt(at) ?? 0;
  return code < 0x20 || code === 0x7f ? `U+${hex4(code)}` : String.fromCodePoint(code);
}

function hex4(code: number): string {
  return code.toString(16).toUpperCase().padStart(4, '0');
}
