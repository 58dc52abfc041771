import { fromBase64 } from '../../lib/base64';
import type { BinaryReading, ByteProblem } from '../../lib/values/binary-reading';
import { readSchema, type Schema, type SchemaReading } from '../../lib/values/protobuf-schema';
import { readJsonContainer } from '../../lib/values/read-json';
import { readMsgpack } from '../../lib/values/read-msgpack';
import { readProtobuf } from '../../lib/values/read-protobuf';
import { readUtf8 } from '../../lib/values/read-utf8';
import type { ValueTree } from '../../lib/values/value-tree';
import { type Decoding, DECODER_NAMES } from './binary-choice';
import type { Problem } from './content';
import { writeHex } from './hex';

/** What a decoder makes of a binary message. */
export interface Decoded {
  /** Absent from what is no text. */
  readonly text: string | null;
  readonly tree: ValueTree | null;
  readonly problem: Problem | null;
}

/** More would take the page noticeable time: 4 MiB. */
const MOST_BYTES = 4 * 1024 * 1024;

export function decode(bytes: Uint8Array, choice: Decoding): Decoded {
  if (bytes.length > MOST_BYTES) {
    const sentence = `Longer than ${MOST_BYTES.toLocaleString('en')} bytes: shown as hex, not decoded.`;
    return { text: null, tree: null, problem: { sentence } };
  }
  switch (choice.decoder) {
    case 'hex':
      return { text: null, tree: null, problem: null };
    case 'utf-8': {
      const { text, badAt } = readUtf8(bytes);
      if (badAt === -1) return { text, tree: readJsonContainer(text), problem: null };
      const what = `0x${writeHex(bytes.subarray(badAt, badAt + 1))} cannot stand here`;
      return { text, tree: null, problem: problemOf(bytes, { at: badAt, what }, 'UTF-8') };
    }
    case 'msgpack':
      return decoded(bytes, readMsgpack(bytes), DECODER_NAMES.msgpack);
    case 'protobuf': {
      const schema = schemaOf(choice.descriptor);
      return decoded(
        bytes,
        readProtobuf(bytes, schema, choice.messageType),
        DECODER_NAMES.protobuf,
      );
    }
  }
}

function decoded(bytes: Uint8Array, { tree, problem }: BinaryReading, name: string): Decoded {
  return { text: null, tree, problem: problem && problemOf(bytes, problem, name) };
}

/** As much around a byte as fits into a line of a phone. */
const BEFORE = 5;
const AFTER = 5;

function problemOf(bytes: Uint8Array, { at, what }: ByteProblem, name: string): Problem {
  const from = Math.max(0, at - BEFORE);
  const before = `${from > 0 ? '… ' : ''}${writeHex(bytes.subarray(from, at))}`;
  const gap = before === '' ? '' : ' ';
  const after = writeHex(bytes.subarray(at, at + AFTER));
  return {
    sentence: `${name}, byte ${at.toLocaleString('en')} (0x${at.toString(16)}): ${what}.`,
    excerpt: `${before}${gap}${after}\n${' '.repeat(before.length + gap.length)}▲`,
  };
}

/** The one that was read last: all messages of a connection go by the same. */
let latest: { readonly descriptor: string; readonly schema: Schema | null } | undefined;

function schemaOf(descriptor: string): Schema | null {
  if (latest?.descriptor !== descriptor) latest = { descriptor, schema: keptSchema(descriptor) };
  return latest.schema;
}

function keptSchema(descriptor: string): Schema | null {
  if (descriptor === '') return null;
  try {
    const read = readDescriptor(fromBase64(descriptor));
    return read.ok ? read.schema : null;
  } catch {
    // Kept by another version of the page, or not by us at all.
    return null;
  }
}

/** The message types that a kept descriptor set has, in the order of the alphabet. */
export function messageTypesOf(descriptor: string): readonly string[] {
  const schema = schemaOf(descriptor);
  if (schema === null) return [];
  const named = [...schema.messages].filter(([, { isMapEntry }]) => !isMapEntry);
  return named.map(([name]) => name).sort();
}

/** Reads a descriptor set that a person has brought. */
export function readDescriptor(bytes: Uint8Array): SchemaReading {
  return readSchema(bytes);
}
