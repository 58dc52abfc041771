import { readTyped, type TypedKind } from '../../lib/typed-values';

/** A value that stands in a fault, as the server describes it. */
export interface FaultParameter {
  readonly name: string;
  /** `count`, `duration`, `size`, `status`, or what only the server can read. */
  readonly kind: string;
  /** What may stand there, in words. */
  readonly allowed: string;
  readonly example: string;
  /** In messages, seconds or bytes; `null` where there is no order. */
  readonly low: number | null;
  readonly high: number | null;
}

/** A fault that the server knows. */
export interface FaultKind {
  readonly name: string;
  /** What happens to a message, in one line. */
  readonly text: string;
  /** Whether what the client sends can have it, too. */
  readonly up: boolean;
  readonly parameters: readonly FaultParameter[];
}

export interface FaultKinds {
  readonly kinds: readonly FaultKind[];
  /** How many may stand one behind the other. */
  readonly most: number;
}

/** What the server sends, or what the client sends. */
export type Way = 'down' | 'up';

/** One of the faults of a list. */
export interface Fault {
  /** Of this row, wherever it is moved. */
  readonly key: number;
  readonly way: Way;
  readonly name: string;
  readonly values: readonly string[];
}

/** Reads what `/api/behaviours` says; `null` if it is something else. */
export function readFaultKinds(value: unknown): FaultKinds | null {
  if (!isRecord(value) || !Array.isArray(value.faults)) return null;
  const kinds = value.faults.filter(isKind);
  const most = typeof value.max_faults === 'number' ? value.max_faults : kinds.length;
  return kinds.length === 0 ? null : { kinds, most };
}

function isKind(value: unknown): value is FaultKind {
  return (
    isRecord(value) &&
    typeof value.name === 'string' &&
    typeof value.text === 'string' &&
    Array.isArray(value.parameters) &&
    value.parameters.every(
      (one) => isRecord(one) && typeof one.name === 'string' && typeof one.example === 'string',
    )
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Splits faults as they stand before a path, `~delay/200ms/~up-drop/3`; `null` where they are not
 * of these kinds, as a newer server's may be.
 */
export function parseFaults(text: string, kinds: readonly FaultKind[]): Fault[] | null {
  if (text === '') return [];
  const parts = text.split('/');
  const faults: Fault[] = [];
  while (parts.length > 0) {
    const [, up, name] = /^~(up-)?(.+)$/.exec(parts.shift() ?? '') ?? [];
    const kind = kinds.find((one) => one.name === name);
    if (kind === undefined || parts.length < kind.parameters.length) return null;
    const values = parts.splice(0, kind.parameters.length).map(decode);
    faults.push({
      key: nextKey(faults),
      way: up === undefined ? 'down' : 'up',
      name: kind.name,
      values,
    });
  }
  return faults;
}

/** Writes faults as they stand before a path. */
export function writeFaults(faults: readonly Fault[]): string {
  return faults
    .flatMap(({ way, name, values }) => [nameOf({ way, name }), ...values.map(encode)])
    .join('/');
}

/** As it is written, and as the server counts it but for the `~`. */
export function nameOf({ way, name }: Pick<Fault, 'way' | 'name'>): string {
  return `~${way === 'up' ? 'up-' : ''}${name}`;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** A value may have any character; a reason is more easily read with its colon and its commas. */
function encode(value: string): string {
  return encodeURIComponent(value).replaceAll('%3A', ':').replaceAll('%2C', ',');
}

function nextKey(faults: readonly Fault[]): number {
  return Math.max(0, ...faults.map(({ key }) => key)) + 1;
}

/** A new one comes last, with values that do something one can watch. */
export function addFault(faults: readonly Fault[], kind: FaultKind): Fault[] {
  const values = kind.parameters.map(({ example }) => example);
  return [...faults, { key: nextKey(faults), way: 'down', name: kind.name, values }];
}

/** Moves one by so many places, as far as there are any. */
export function moveFault(faults: readonly Fault[], key: number, by: number): Fault[] {
  const from = faults.findIndex((fault) => fault.key === key);
  const moved = faults[from];
  const to = from + by;
  if (moved === undefined || to < 0 || to >= faults.length) return [...faults];
  return faults.toSpliced(from, 1).toSpliced(to, 0, moved);
}

export function changeFault(
  faults: readonly Fault[],
  key: number,
  change: Partial<Pick<Fault, 'way' | 'values'>>,
): Fault[] {
  return faults.map((fault) => (fault.key === key ? { ...fault, ...change } : fault));
}

/** What is wrong with a value, as far as the page can tell; `null` for nothing. */
export function problemOf(value: string, parameter: FaultParameter): string | null {
  const number = numberOf(value, parameter.kind);
  if (number === null) return value === '' ? sentence(parameter.allowed) : null;
  const { low, high } = parameter;
  const isWithin = number >= (low ?? -Infinity) && number <= (high ?? Infinity);
  return isWithin ? null : sentence(parameter.allowed);
}

const TYPED: Readonly<Partial<Record<string, TypedKind>>> = {
  count: 'count',
  duration: 'duration',
  size: 'size',
  status: 'whole',
};

/** NaN where it is none; `null` where only the server can tell. */
function numberOf(value: string, kind: string): number | null {
  const typed = TYPED[kind];
  if (typed === undefined) return null;
  const read = readTyped(typed, value);
  return 'value' in read ? read.value : NaN;
}

function sentence(words: string): string {
  return `${words.slice(0, 1).toUpperCase()}${words.slice(1)}.`;
}
