import { remember, remembered } from '../../lib/remembered';

/** How binary messages are read. */
export const DECODERS = ['hex', 'utf-8', 'msgpack', 'protobuf'] as const;
export type Decoder = (typeof DECODERS)[number];

export const DECODER_NAMES: Readonly<Record<Decoder, string>> = {
  hex: 'Hex',
  'utf-8': 'UTF-8',
  msgpack: 'MessagePack',
  protobuf: 'Protobuf',
};

/** How to decode. */
export interface Decoding {
  readonly decoder: Decoder;
  /** Of protobuf: a descriptor set in base64, and which of its messages these are. */
  readonly descriptor: string;
  readonly messageType: string;
}

/** What was chosen for a connection. */
export interface BinaryChoice extends Decoding {
  /** The path of the value that stands beside each message; empty for none. */
  readonly column: string;
}

export const NO_CHOICE: BinaryChoice = {
  decoder: 'hex',
  descriptor: '',
  messageType: '',
  column: '',
};

const STORAGE_KEY = 'echo-trio.readings';
const MOST_KEPT = 50;

/** What was last chosen for an address, whatever its query: that often holds a token. */
export function choiceOf(address: string): BinaryChoice {
  const kept = readKept().find(([known]) => known === keyOf(address));
  return kept?.[1] ?? NO_CHOICE;
}

export function keepChoice(address: string, choice: BinaryChoice): void {
  const key = keyOf(address);
  const others = readKept().filter(([known]) => known !== key);
  remember(STORAGE_KEY, JSON.stringify([[key, choice], ...others].slice(0, MOST_KEPT)));
}

function keyOf(address: string): string {
  return address.replace(/[?#].*$/s, '');
}

function readKept(): (readonly [string, BinaryChoice])[] {
  try {
    const kept: unknown = JSON.parse(remembered(STORAGE_KEY) ?? '[]');
    return Array.isArray(kept) ? kept.flatMap(asKept) : [];
  } catch {
    // Kept by another version of the page, or not by us at all.
    return [];
  }
}

function asKept(entry: unknown): (readonly [string, BinaryChoice])[] {
  if (!Array.isArray(entry) || typeof entry[0] !== 'string') return [];
  const choice = entry[1] as Partial<Record<keyof BinaryChoice, unknown>> | null;
  if (typeof choice !== 'object' || choice === null) return [];
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  const read: BinaryChoice = {
    decoder: DECODERS.find((one) => one === choice.decoder) ?? 'hex',
    descriptor: text(choice.descriptor),
    messageType: text(choice.messageType),
    column: text(choice.column),
  };
  return [[entry[0], read]];
}
