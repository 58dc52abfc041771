import { type ByteProblem, CannotRead } from './binary-reading';
import { readVarint, WIRE, type WireField, wireFields } from './protobuf-wire';
import { readUtf8 } from './read-utf8';

/** A field of a message type (`google.protobuf.FieldDescriptorProto`). */
export interface SchemaField {
  readonly name: string;
  /** As `FieldDescriptorProto.Type` has it: 9 is a string, 11 a message. */
  readonly type: number;
  readonly isRepeated: boolean;
  /** Of a message or an enum, its full name. */
  readonly typeName: string;
}

export interface SchemaMessage {
  readonly fields: ReadonlyMap<number, SchemaField>;
  /** What a map field repeats: a name and a value. */
  readonly isMapEntry: boolean;
}

/** The message types of a descriptor set, by their full names. */
export interface Schema {
  readonly messages: ReadonlyMap<string, SchemaMessage>;
  readonly enums: ReadonlyMap<string, ReadonlyMap<number, string>>;
}

export type SchemaReading =
  | { readonly ok: true; readonly schema: Schema }
  | { readonly ok: false; readonly problem: ByteProblem };

/** Reads a `FileDescriptorSet`, as `protoc --descriptor_set_out` writes it. */
export function readSchema(bytes: Uint8Array): SchemaReading {
  try {
    const reader = new SchemaReader(bytes);
    reader.read();
    if (reader.messages.size === 0) throw new CannotRead(0, 'it describes no message');
    return { ok: true, schema: { messages: reader.messages, enums: reader.enums } };
  } catch (error) {
    if (!(error instanceof CannotRead)) throw error;
    return { ok: false, problem: { at: error.at, what: error.message } };
  }
}

/** The numbers of the fields that are read here, as in `google/protobuf/descriptor.proto`. */
const OF_SET = { file: 1 };
const OF_FILE = { package: 2, message: 4, enum: 5 };
const OF_MESSAGE = { name: 1, field: 2, nested: 3, enum: 4, options: 7 };
const OF_OPTIONS = { mapEntry: 7 };
const OF_FIELD = { name: 1, number: 3, label: 4, type: 5, typeName: 6 };
const OF_ENUM = { name: 1, value: 2 };
const OF_VALUE = { name: 1, number: 2 };
const REPEATED = 3;

/** More messages within messages are an attack. */
const MOST_NESTED = 50;

class SchemaReader {
  readonly messages = new Map<string, SchemaMessage>();
  readonly enums = new Map<string, ReadonlyMap<number, string>>();
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  read(): void {
    for (const file of this.#all(wireFields(this.#bytes, 0, this.#bytes.length), OF_SET.file)) {
      const fields = this.#inside(file);
      const name = this.#text(fields, OF_FILE.package);
      const scope = name === '' ? '' : `${name}.`;
      for (const message of this.#all(fields, OF_FILE.message)) this.#message(message, scope, 0);
      for (const one of this.#all(fields, OF_FILE.enum)) this.#enum(one, scope);
    }
  }

  #message(message: WireField, scope: string, depth: number): void {
    if (depth === MOST_NESTED) throw new CannotRead(message.at, 'messages are nested too deep');
    const fields = this.#inside(message);
    const name = scope + this.#text(fields, OF_MESSAGE.name);
    const options = this.#all(fields, OF_MESSAGE.options).at(-1);
    const isMapEntry =
      options !== undefined && this.#number(this.#inside(options), OF_OPTIONS.mapEntry) === 1;
    const known = new Map<number, SchemaField>();
    for (const field of this.#all(fields, OF_MESSAGE.field)) {
      const facts = this.#inside(field);
      known.set(this.#number(facts, OF_FIELD.number), {
        name: this.#text(facts, OF_FIELD.name),
        type: this.#number(facts, OF_FIELD.type),
        isRepeated: this.#number(facts, OF_FIELD.label) === REPEATED,
        typeName: this.#text(facts, OF_FIELD.typeName).replace(/^\./, ''),
      });
    }
    this.messages.set(name, { fields: known, isMapEntry });
    for (const inner of this.#all(fields, OF_MESSAGE.nested)) {
      this.#message(inner, `${name}.`, depth + 1);
    }
    for (const inner of this.#all(fields, OF_MESSAGE.enum)) this.#enum(inner, `${name}.`);
  }

  #enum(field: WireField, scope: string): void {
    const fields = this.#inside(field);
    const values = this.#all(fields, OF_ENUM.value).map((value) => {
      const facts = this.#inside(value);
      const number = Number(BigInt.asIntN(32, this.#varint(facts, OF_VALUE.number)));
      return [number, this.#text(facts, OF_VALUE.name)] as const;
    });
    this.enums.set(scope + this.#text(fields, OF_ENUM.name), new Map(values));
  }

  #all(fields: readonly WireField[], number: number): WireField[] {
    return fields.filter((field) => field.number === number && field.wire === WIRE.delimited);
  }

  #inside({ from, to }: WireField): WireField[] {
    return wireFields(this.#bytes, from, to);
  }

  #text(fields: readonly WireField[], number: number): string {
    const field = this.#all(fields, number).at(-1);
    return field === undefined ? '' : readUtf8(this.#bytes.subarray(field.from, field.to)).text;
  }

  #number(fields: readonly WireField[], number: number): number {
    return Number(this.#varint(fields, number));
  }

  #varint(fields: readonly WireField[], number: number): bigint {
    const field = fields.findLast((one) => one.number === number && one.wire === WIRE.varint);
    return field === undefined ? 0n : readVarint(this.#bytes, field.from, field.to).value;
  }
}
