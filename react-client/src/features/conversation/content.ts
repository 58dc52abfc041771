import { looksLikeJson, MOST_CHARACTERS, readJson } from '../../lib/values/read-json';
import type { ValueTree } from '../../lib/values/value-tree';
import { indented } from '../../lib/values/value-text';
import { hexDump, writeHex } from './hex';

/** A form that a message can be shown in. */
export type Form = 'tree' | 'indented' | 'text' | 'hex';

/** Why a message is not what it looks like. */
export interface Problem {
  /** A sentence that says what, and where. */
  readonly sentence: string;
  /** Two lines: what stands there, and a mark below the place; absent where there is no such place. */
  readonly excerpt?: string;
}

export interface Shown {
  readonly text: string;
  /** Whether this is the beginning alone. */
  readonly isCut: boolean;
}

/** A message's contents in all forms, each made when it is asked for. */
export interface Content {
  /** The best first. */
  readonly forms: readonly Form[];
  /** `null` where there is nothing in it to fold. */
  readonly tree: ValueTree | null;
  readonly problem: Problem | null;
  readonly shown: (form: Form) => Shown;
  readonly whole: (form: Form) => string;
}

/** More would hold up the page; the file has it all. */
const SHOWN_CHARACTERS = 65_536;

/** The contents of a text message. */
export function contentOf(text: string): Content {
  const { tree, problem } = readContainer(text);
  const bytes = () => new TextEncoder().encode(text);
  return {
    forms: tree === null ? ['text', 'hex'] : ['tree', 'indented', 'text', 'hex'],
    tree,
    problem,
    shown: (form) => {
      if (form === 'hex') return hexOf(bytes());
      // The tree shows itself.
      if (form === 'tree') return { text: '', isCut: false };
      if (form === 'indented' && tree !== null) return beginning(indented(tree, SHOWN_CHARACTERS));
      return beginning({ text, isCut: false });
    },
    whole: (form) => {
      if (form === 'hex') return writeHex(bytes());
      return form === 'indented' && tree !== null ? indented(tree).text : text;
    },
  };
}

function readContainer(text: string): Pick<Content, 'tree' | 'problem'> {
  if (!looksLikeJson(text)) return { tree: null, problem: null };
  if (text.length > MOST_CHARACTERS) {
    const most = MOST_CHARACTERS.toLocaleString('en');
    return {
      tree: null,
      problem: { sentence: `Longer than ${most} characters: shown as text, not read as JSON.` },
    };
  }
  const read = readJson(text);
  if (read.ok) return { tree: read.tree, problem: null };
  const { what, at, line, column } = read.problem;
  return {
    tree: null,
    problem: {
      sentence: `Not JSON: ${what}, line ${String(line)}, column ${String(column)}.`,
      excerpt: excerptAt(text, at),
    },
  };
}

export function beginning({ text, isCut }: Shown): Shown {
  return {
    text: text.slice(0, SHOWN_CHARACTERS),
    isCut: isCut || text.length > SHOWN_CHARACTERS,
  };
}

export function hexOf(bytes: Uint8Array): Shown {
  return {
    text: hexDump(bytes.subarray(0, SHOWN_CHARACTERS)),
    isCut: bytes.length > SHOWN_CHARACTERS,
  };
}

/** As much around a place as fits into a line of a phone. */
const BEFORE = 24;
const AFTER = 16;

/** What stands around a place of a text, and a mark below the place. */
export function excerptAt(text: string, at: number): string {
  const from = Math.max(0, at - BEFORE, text.lastIndexOf('\n', at - 1) + 1);
  const lineEnd = text.indexOf('\n', at);
  const to = Math.min(at + AFTER, lineEnd === -1 ? text.length : lineEnd);
  // Whatever has no width of one character would move the mark.
  const flat = (part: string) => part.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{M}]/gu, '·');
  const before = `${from > 0 && text[from - 1] !== '\n' ? '…' : ''}${flat(text.slice(from, at))}`;
  return `${before}${flat(text.slice(at, to))}\n${' '.repeat(before.length)}▲`;
}
