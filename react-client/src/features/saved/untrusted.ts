/**
 * Read what others wrote. All of it is looked at as data of an unknown form: only own properties
 * count, texts lose what is not to be seen, and lists end where they are too long.
 */
import { MOST } from './model';
import type { Notes } from './notes';

export type Untrusted = Readonly<Record<string, unknown>>;

export function asObject(value: unknown): Untrusted | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Untrusted)
    : null;
}

/** A property of its own; `undefined` for what an object merely inherits. */
export function own(value: Untrusted, key: string): unknown {
  return Object.hasOwn(value, key) ? value[key] : undefined;
}

export function objectIn(value: Untrusted, key: string): Untrusted | null {
  return asObject(own(value, key));
}

export function listIn(value: Untrusted, key: string): readonly unknown[] {
  const list = own(value, key);
  return Array.isArray(list) ? list : [];
}

/** Those of a list that are objects. */
export function objectsOf(list: readonly unknown[]): readonly Untrusted[] {
  return list.map(asObject).filter((one) => one !== null);
}

/** A text or a number, as a text; empty for all else. */
export function textIn(value: Untrusted, key: string): string {
  const text = own(value, key);
  if (typeof text === 'number' || typeof text === 'boolean') return String(text);
  return typeof text === 'string' ? text : '';
}

export function isTrueIn(value: Untrusted, key: string): boolean {
  return own(value, key) === true;
}

/** Control characters, and those that turn the direction of what follows. */
const UNSEEN = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu;

/** A name fit to be shown in a line of its own. */
export function nameFrom(text: string, whereNone = ''): string {
  const name = text.replace(UNSEEN, ' ').trim().toWellFormed();
  if (name === '') return whereNone;
  return name.length <= MOST.nameCharacters ? name : `${name.slice(0, MOST.nameCharacters - 1)}…`;
}

/** A value for one line, such as an address or a header's: no line breaks or the like in it. */
export function lineFrom(text: string): string {
  return text
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .toWellFormed();
}

/** The beginning of a list that is not longer than may be; what is too much is counted. */
export function atMost<Item>(
  items: readonly Item[],
  most: number,
  notes: Notes,
  what: string,
): readonly Item[] {
  if (items.length > most) notes.add(what, '', items.length - most);
  return items.slice(0, most);
}
