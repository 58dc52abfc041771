import { type BinaryReading, CannotRead, readingOf } from './binary-reading';
import type { Schema, SchemaField, SchemaMessage } from './protobuf-schema';
import { readVarint, WIRE, type WireField, wireFields } from './protobuf-wire';
import { readUtf8 } from './read-utf8';
import { bytesSource, floatSource, TreeWriter } from './tree-writer';
import { KIND, type Kind } from './value-tree';

/** Protobuf's own readers go no deeper. */
const DEEPEST = 100;

/** `FieldDescriptorProto.Type`. */
const TYPE = {
  double: 1,
  float: 2,
  int64: 3,
  uint64: 4,
  int32: 5,
  fixed64: 6,
  fixed32: 7,
  bool: 8,
  string: 9,
  group: 10,
  message: 11,
  bytes: 12,
  uint32: 13,
  enum: 14,
  sfixed32: 15,
  sfixed64: 16,
  sint32: 17,
  sint64: 18,
} as const;

/**
 * Reads a protobuf message: with a schema by the names of `messageType`, without one by the numbers
 * on the wire. What the schema does not know is shown by its number, in its place.
 */
export function readProtobuf(
  bytes: Uint8Array,
  schema: Schema | null = null,
  messageType = '',
): BinaryReading {
  return readingOf(() => {
    const reader = new Reader(bytes, schema);
    reader.message(0, bytes.length, schema?.messages.get(messageType) ?? null, 0, 0);
    return { tree: reader.writer.tree(schema !== null), problem: null };
  });
}

class Reader {
  readonly writer = new TreeWriter();
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #schema: Schema | null;

  constructor(bytes: Uint8Array, schema: Schema | null) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#schema = schema;
  }

  message(
    from: number,
    to: number,
    type: SchemaMessage | null,
    at: number,
    depth: number,
    note?: string,
  ): void {
    if (depth > DEEPEST) throw new CannotRead(at, 'messages are nested too deep');
    const fields = wireFields(this.#bytes, from, to);
    this.writer.open(KIND.object, at, note);
    const done = new Set<number>();
    for (const field of fields) {
      const known = type?.fields.get(field.number);
      if (known?.isRepeated !== true) {
        this.writer.name(known === undefined ? String(field.number) : JSON.stringify(known.name));
        if (known === undefined) this.#unknown(field, depth, type !== null);
        else this.#known(field, known, depth);
        continue;
      }
      // All of one field together: on the wire they may be anywhere.
      if (done.has(field.number)) continue;
      done.add(field.number);
      this.writer.name(JSON.stringify(known.name));
      this.#repeated(
        fields.filter(({ number }) => number === field.number),
        known,
        depth,
      );
    }
    this.writer.close();
  }

  #repeated(fields: readonly WireField[], known: SchemaField, depth: number): void {
    const entry = this.#schema?.messages.get(known.typeName);
    const isMap = known.type === TYPE.message && entry?.isMapEntry === true;
    this.writer.open(isMap ? KIND.object : KIND.array, fields[0]?.at ?? 0);
    for (const field of fields) {
      if (isMap && field.wire === WIRE.delimited) this.#mapEntry(field, entry, depth);
      else if (field.wire === WIRE.delimited && isPackable(known.type)) this.#packed(field, known);
      else this.#known(field, known, depth);
    }
    this.writer.close();
  }

  #mapEntry({ at, from, to }: WireField, entry: SchemaMessage, depth: number): void {
    const fields = wireFields(this.#bytes, from, to);
    const [key, value] = [1, 2].map((wanted) => fields.findLast(({ number }) => number === wanted));
    const keyType = entry.fields.get(1);
    const valueType = entry.fields.get(2);
    this.writer.name(this.#mapKey(key, keyType));
    // What is not on the wire has its type's default.
    if (value !== undefined && valueType !== undefined) this.#known(value, valueType, depth + 1);
    else this.writer.value(KIND.word, 'default', at, 'not on the wire');
  }

  #mapKey(key: WireField | undefined, type: SchemaField | undefined): string {
    if (type === undefined || key === undefined) return type?.type === TYPE.string ? '""' : '0';
    const source = this.#scalar(key, type)?.source ?? '?';
    return source.startsWith('"') ? source : JSON.stringify(source);
  }

  #packed(field: WireField, known: SchemaField): void {
    const wire = wireOf(known.type);
    for (let at = field.from; at < field.to;) {
      const next =
        wire === WIRE.varint
          ? readVarint(this.#bytes, at, field.to).next
          : at + (wire === WIRE.fixed64 ? 8 : 4);
      if (next > field.to) throw new CannotRead(at, `field ${String(field.number)} is cut`);
      const one = { number: field.number, wire, at, from: at, to: next };
      this.#known(one, known, 0);
      at = next;
    }
  }

  #known(field: WireField, known: SchemaField, depth: number): void {
    const { from, to, at } = field;
    if (known.type === TYPE.message || known.type === TYPE.group) {
      const type = this.#schema?.messages.get(known.typeName) ?? null;
      const isInside = field.wire === WIRE.delimited || field.wire === WIRE.group;
      if (isInside && type !== null) {
        this.message(from, to, type, at, depth + 1, lastName(known.typeName));
        return;
      }
    }
    const scalar = this.#scalar(field, known);
    if (scalar === null) this.#unknown(field, depth, true);
    else this.writer.value(scalar.kind, scalar.source, at, scalar.note);
  }

  /** `null` where the wire has not what the schema says. */
  #scalar(
    { wire, from, to }: WireField,
    { type, typeName }: SchemaField,
  ): { kind: Kind; source: string; note?: string } | null {
    if (wire !== wireOf(type)) return null;
    const number = (value: number | bigint) => ({ kind: KIND.number, source: String(value) });
    const float = (value: number) => ({ kind: KIND.number, source: floatSource(value) });
    if (wire === WIRE.varint) {
      const { value } = readVarint(this.#bytes, from, to);
      switch (type) {
        case TYPE.int64:
          return number(BigInt.asIntN(64, value));
        case TYPE.int32:
          return number(BigInt.asIntN(32, value));
        case TYPE.uint32:
          return number(BigInt.asUintN(32, value));
        case TYPE.bool:
          return { kind: KIND.word, source: String(value !== 0n) };
        case TYPE.sint32:
        case TYPE.sint64:
          return number(unzigzag(value));
        case TYPE.enum: {
          const one = Number(BigInt.asIntN(32, value));
          const name = this.#schema?.enums.get(typeName)?.get(one);
          const note = `${lastName(typeName)} ${String(one)}`;
          if (name === undefined) return { ...number(one), note: `${note}, not in the schema` };
          return { kind: KIND.string, source: JSON.stringify(name), note };
        }
        default:
          return number(value);
      }
    }
    switch (type) {
      case TYPE.double:
        return float(this.#view.getFloat64(from, true));
      case TYPE.float:
        return float(this.#view.getFloat32(from, true));
      case TYPE.fixed64:
        return number(this.#view.getBigUint64(from, true));
      case TYPE.sfixed64:
        return number(this.#view.getBigInt64(from, true));
      case TYPE.fixed32:
        return number(this.#view.getUint32(from, true));
      case TYPE.sfixed32:
        return number(this.#view.getInt32(from, true));
      case TYPE.string:
        return this.#string(from, to);
      case TYPE.bytes:
        return { kind: KIND.bytes, source: bytesSource(this.#bytes.subarray(from, to)) };
      default:
        return null;
    }
  }

  #string(from: number, to: number) {
    const raw = this.#bytes.subarray(from, to);
    const { text, badAt } = readUtf8(raw);
    if (badAt === -1) return { kind: KIND.string, source: JSON.stringify(text) };
    const note = `string, not UTF-8 from byte ${String(from + badAt)}`;
    return { kind: KIND.bytes, source: bytesSource(raw), note };
  }

  /** By the wire alone, which does not tell a string from bytes or a message: that is a guess. */
  #unknown({ wire, at, from, to }: WireField, depth: number, isInSchema: boolean): void {
    const say = (kind: Kind, source: string, note: string) => {
      this.writer.value(kind, source, at, isInSchema ? `not in the schema, ${note}` : note);
    };
    switch (wire) {
      case WIRE.varint: {
        const { value } = readVarint(this.#bytes, from, to);
        const signed = BigInt.asIntN(64, value);
        say(
          KIND.number,
          String(value),
          signed < 0n ? `varint, signed ${String(signed)}` : 'varint',
        );
        return;
      }
      case WIRE.fixed64: {
        const double = floatSource(this.#view.getFloat64(from, true));
        say(KIND.number, String(this.#view.getBigUint64(from, true)), `64 bit, double ${double}`);
        return;
      }
      case WIRE.fixed32: {
        const float = floatSource(this.#view.getFloat32(from, true));
        say(KIND.number, String(this.#view.getUint32(from, true)), `32 bit, float ${float}`);
        return;
      }
      case WIRE.group:
        this.message(from, to, null, at, depth + 1, 'group');
        return;
      case WIRE.delimited:
        break;
    }
    const raw = this.#bytes.subarray(from, to);
    const { text, badAt } = readUtf8(raw);
    if (badAt === -1 && !/[^\P{C}\n\r\t]/u.test(text)) {
      say(KIND.string, JSON.stringify(text), raw.length === 0 ? 'empty' : 'string or bytes');
    } else if (depth < DEEPEST && this.#isMessage(from, to)) {
      this.message(from, to, null, at, depth + 1, 'message');
    } else {
      say(KIND.bytes, bytesSource(raw), 'bytes');
    }
  }

  #isMessage(from: number, to: number): boolean {
    try {
      return wireFields(this.#bytes, from, to).length > 0;
    } catch (error) {
      if (error instanceof CannotRead) return false;
      throw error;
    }
  }
}

function wireOf(type: number): WireField['wire'] {
  switch (type) {
    case TYPE.double:
    case TYPE.fixed64:
    case TYPE.sfixed64:
      return WIRE.fixed64;
    case TYPE.float:
    case TYPE.fixed32:
    case TYPE.sfixed32:
      return WIRE.fixed32;
    case TYPE.string:
    case TYPE.bytes:
    case TYPE.message:
      return WIRE.delimited;
    case TYPE.group:
      return WIRE.group;
    default:
      return WIRE.varint;
  }
}

function isPackable(type: number): boolean {
  const wire = wireOf(type);
  return wire !== WIRE.delimited && wire !== WIRE.group;
}

function unzigzag(value: bigint): bigint {
  return (value >> 1n) ^ -(value & 1n);
}

function lastName(fullName: string): string {
  return fullName.slice(fullName.lastIndexOf('.') + 1);
}
