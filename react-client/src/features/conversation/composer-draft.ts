import type { Outgoing } from '../../lib/send-plan';
import { readHex } from './hex';

export const MODES = ['text', 'json', 'binary'] as const;
export type Mode = (typeof MODES)[number];

/** What stands in the composer. */
export interface Draft {
  readonly mode: Mode;
  /** Text, JSON or hex digits. */
  readonly text: string;
}

export const EMPTY_DRAFT: Draft = { mode: 'text', text: '' };

export type DraftReading =
  | { readonly ok: true; readonly data: Outgoing }
  /** `problem` is one line. */
  | { readonly ok: false; readonly problem: string };

/** Variables and words that are filled in before it goes out: where one stands, a value will. */
const TEMPLATES = /\{\{[\w.-]+\}\}|\{(?:conn|seq|now|random|room)\}/g;

/** What would be sent: JSON goes out as typed, once it is JSON. */
export function readDraft({ mode, text }: Draft): DraftReading {
  if (text === '') return { ok: true, data: '' };
  switch (mode) {
    case 'text':
      return { ok: true, data: text };
    case 'json': {
      const problem = problemOfJson(text.replace(TEMPLATES, '0'));
      return problem === null ? { ok: true, data: text } : { ok: false, problem };
    }
    case 'binary': {
      const read = readHex(text);
      return read.ok ? { ok: true, data: read.bytes } : read;
    }
  }
}

/** Browsers say where in characters; people look for lines. */
function problemOfJson(text: string): string | null {
  try {
    JSON.parse(text);
    return null;
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const offset = /at position (\d+)/.exec(said)?.[1];
    const what = said.replace(/,? (in JSON|"|\.\.\.).*$/s, '').replace(/ is not valid JSON$/, '');
    if (offset === undefined) return `Not JSON: ${what}.`;
    const before = text.slice(0, Number(offset)).split('\n');
    const column = (before.at(-1)?.length ?? 0) + 1;
    return `Not JSON: ${what}, line ${String(before.length)}, column ${String(column)}.`;
  }
}

const JSON_TOKEN = /"(?:[^"\\]|\\.)*"|\s+|[[{]\s*[\]}]|[[{\]},:]/g;
/** Deeper lines are not indented any further: else twenty thousand brackets would fill the memory. */
const DEEPEST_INDENT = 32;

/** Indents JSON, each number and name as it was typed; anything else stays as it is. */
export function formatJson(text: string): string {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  let depth = 0;
  const newLine = () => `\n${'  '.repeat(Math.min(depth, DEEPEST_INDENT))}`;
  return text.replace(JSON_TOKEN, (token) => {
    const [first = ''] = token;
    if (first === '"') return token;
    if (first === ',') return token + newLine();
    if (first === ':') return ': ';
    if (first === ']' || first === '}') {
      depth -= 1;
      return newLine() + token;
    }
    if (first !== '[' && first !== '{') return '';
    if (token.length > 1) return first + token.slice(-1);
    depth += 1;
    return first + newLine();
  });
}

/** What was kept of a draft; an empty one where that is nothing of ours. */
export function parseDraft(kept: string | null): Draft {
  return asDraft(parseJson(kept)) ?? EMPTY_DRAFT;
}

export function asDraft(value: unknown): Draft | null {
  if (typeof value !== 'object' || value === null) return null;
  const { mode, text } = value as Partial<Record<keyof Draft, unknown>>;
  const known = MODES.find((one) => one === mode);
  return known === undefined || typeof text !== 'string' ? null : { mode: known, text };
}

function parseJson(text: string | null): unknown {
  try {
    return JSON.parse(text ?? 'null');
  } catch {
    return null;
  }
}
