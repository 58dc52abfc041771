import { CannotRead } from './binary-reading';

/** How a field is written, by its wire type. */
export const WIRE = {
  varint: 0,
  fixed64: 1,
  delimited: 2,
  group: 3,
  endGroup: 4,
  fixed32: 5,
} as const;
export type Wire = Exclude<(typeof WIRE)[keyof typeof WIRE], 4>;

/** One field of a message as it stands on the wire. */
export interface WireField {
  readonly number: number;
  readonly wire: Wire;
  /** Where its tag begins. */
  readonly at: number;
  /** Where what it carries begins and ends. */
  readonly from: number;
  readonly to: number;
}

/** Field numbers have 29 bits. */
const MOST_NUMBER = 0x1fff_ffff;

/** More groups within groups are an attack. */
const MOST_GROUPS = 100;

/**
 * The fields between two bytes, in their order.
 *
 * @throws CannotRead where that is no message.
 */
export function wireFields(bytes: Uint8Array, from: number, to: number): WireField[] {
  const fields: WireField[] = [];
  let at = from;
  while (at < to) {
    const field = readField(bytes, at, to, 0);
    if (field === 'end') throw new CannotRead(at, 'a group ends here that did not begin');
    fields.push(field.field);
    at = field.next;
  }
  return fields;
}

interface ReadField {
  readonly field: WireField;
  readonly next: number;
}

function readField(bytes: Uint8Array, at: number, to: number, groups: number): ReadField | 'end' {
  const tag = readVarint(bytes, at, to);
  const number = Number(tag.value >> 3n);
  const wire = Number(tag.value & 7n);
  if (number < 1 || number > MOST_NUMBER) {
    throw new CannotRead(at, `${String(tag.value >> 3n)} is no field number`);
  }
  if (wire === WIRE.endGroup) return 'end';
  const from = tag.next;
  switch (wire) {
    case WIRE.varint: {
      const { next } = readVarint(bytes, from, to);
      return { field: { number, wire, at, from, to: next }, next };
    }
    case WIRE.fixed64:
    case WIRE.fixed32: {
      const next = from + (wire === WIRE.fixed64 ? 8 : 4);
      if (next > to) throw new CannotRead(from, `field ${String(number)} is cut`);
      return { field: { number, wire, at, from, to: next }, next };
    }
    case WIRE.delimited: {
      const length = readVarint(bytes, from, to);
      const next = length.next + Number(length.value);
      if (next > to) {
        const left = to - length.next;
        const what = `field ${String(number)} should have ${length.value.toLocaleString('en')} bytes, ${left.toLocaleString('en')} are left`;
        throw new CannotRead(from, what);
      }
      return { field: { number, wire, at, from: length.next, to: next }, next };
    }
    case WIRE.group: {
      if (groups === MOST_GROUPS) throw new CannotRead(at, 'groups are nested too deep');
      let inside = from;
      for (;;) {
        const field = readField(bytes, inside, to, groups + 1);
        if (field !== 'end') {
          inside = field.next;
          continue;
        }
        const end = readVarint(bytes, inside, to);
        if (Number(end.value >> 3n) !== number) {
          throw new CannotRead(inside, `group ${String(number)} ends as another`);
        }
        return { field: { number, wire, at, from, to: inside }, next: end.next };
      }
    }
    default:
      throw new CannotRead(at, `${String(wire)} is no wire type`);
  }
}

/** An unsigned integer of up to 64 bits, seven in each byte, the lowest first. */
export function readVarint(
  bytes: Uint8Array,
  at: number,
  to: number,
): { readonly value: bigint; readonly next: number } {
  // Most fit into 28 bits, where numbers do and cost less.
  let small = 0;
  for (let index = 0; index < 4; index++) {
    const byte = at + index < to ? (bytes[at + index] ?? 0) : NaN;
    if (Number.isNaN(byte)) throw new CannotRead(at, 'a number is cut');
    small |= (byte & 0x7f) << (7 * index);
    if (byte < 0x80) return { value: BigInt(small), next: at + index + 1 };
  }
  let value = BigInt(small);
  for (let index = 4; index < 10; index++) {
    if (at + index >= to) throw new CannotRead(at, 'a number is cut');
    const byte = bytes[at + index] ?? 0;
    value |= BigInt(byte & 0x7f) << BigInt(7 * index);
    if (byte < 0x80) return { value: BigInt.asUintN(64, value), next: at + index + 1 };
  }
  throw new CannotRead(at, 'a number has more than ten bytes');
}
