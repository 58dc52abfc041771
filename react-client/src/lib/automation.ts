import { keyAt, readJsonTree } from './json-path';
import type { Outgoing } from './send-plan';

/**
 * What a connection sends by itself. Plain data, for it goes to the thread of the socket. In texts
 * the words of `fillWords` are filled in when they are sent.
 */
export interface Automation {
  /** Sent in this order once the connection has opened, before all else. */
  readonly onOpen: readonly Outgoing[];
  readonly heartbeat: Heartbeat | null;
  readonly rules: readonly ReplyRule[];
}

export interface Heartbeat {
  readonly data: Outgoing;
  readonly intervalMs: number;
}

/** When a text message is received that fits, this is sent. */
export interface ReplyRule {
  readonly when: Pattern;
  readonly send: Outgoing;
}

export const PATTERN_KINDS = ['contains', 'equals', 'json', 'regex', 'any'] as const;
export type PatternKind = (typeof PATTERN_KINDS)[number];

/** `text` is what is looked for; for `json` it is `PATH=VALUE`, as the generator's `--expect` has. */
export interface Pattern {
  readonly kind: PatternKind;
  readonly text: string;
}

/** What sent a message, where nobody did by hand. */
export type SentBy =
  | { readonly kind: 'open' }
  | { readonly kind: 'heartbeat' }
  /** `rule` counts from 1. */
  | { readonly kind: 'rule'; readonly rule: number };

export function nameOfSender(by: SentBy): string {
  if (by.kind === 'rule') return `rule ${String(by.rule)}`;
  return by.kind === 'open' ? 'on open' : 'heartbeat';
}

export type CompiledPattern =
  | { readonly ok: true; readonly fits: (text: string) => boolean }
  /** `problem` is one line. */
  | { readonly ok: false; readonly problem: string };

/** Make a pattern ready to be used, or say what is wrong with it. */
export function compilePattern({ kind, text }: Pattern): CompiledPattern {
  if (kind === 'any') return { ok: true, fits: () => true };
  if (text === '') return wrong('What is looked for? Nothing is written there.');
  switch (kind) {
    case 'contains':
      return { ok: true, fits: (message) => message.includes(text) };
    case 'equals':
      return { ok: true, fits: (message) => message === text };
    case 'regex':
      return compileRegex(text);
    case 'json':
      return compileJson(text);
  }
}

function compileRegex(text: string): CompiledPattern {
  try {
    const regex = new RegExp(text);
    return { ok: true, fits: (message) => regex.test(message) };
  } catch (error) {
    const cause = error instanceof Error ? error.message : String(error);
    return wrong(
      `Not a regular expression: ${cause.replace(/^Invalid regular expression: /, '')}.`,
    );
  }
}

function compileJson(text: string): CompiledPattern {
  const split = text.indexOf('=');
  if (split < 1) return wrong('PATH=VALUE is asked for, such as type=ping or params.0.id=7.');
  const path = text.slice(0, split).trim();
  const value = text.slice(split + 1).trim();
  const key = keyOf(value);
  if (key === undefined) return wrong('The value is a text, a number, true or false.');
  return {
    ok: true,
    fits: (message) => {
      const tree = readJsonTree(message);
      return tree !== undefined && keyAt(tree, path) === key;
    },
  };
}

/** JSON if it is that, else a text, as the generator reads it. */
function keyOf(value: string): string | undefined {
  try {
    return keyAt({ value: JSON.parse(value) as unknown }, 'value');
  } catch {
    return JSON.stringify(value);
  }
}

function wrong(problem: string): CompiledPattern {
  return { ok: false, problem };
}
