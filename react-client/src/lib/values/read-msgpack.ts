import { type BinaryReading, CannotRead, readingOf } from './binary-reading';
import { readUtf8 } from './read-utf8';
import { bytesSource, floatSource, TreeWriter } from './tree-writer';
import { KIND } from './value-tree';

/** A container that is still to be filled. */
interface Open {
  readonly isMap: boolean;
  /** Of a map, names and values each count. */
  left: number;
}

/**
 * Reads MessagePack (its specification of 2017), however deep. Integers keep all of their digits,
 * names need not be strings, and extensions keep their bytes.
 */
export function readMsgpack(bytes: Uint8Array): BinaryReading {
  return readingOf(() => new Reader(bytes).read());
}

class Reader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #writer = new TreeWriter();
  readonly #open: Open[] = [];
  #at = 0;
  /** Where the value begins that is being read. */
  #start = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  read(): BinaryReading {
    do {
      const innermost = this.#open.at(-1);
      if (innermost?.isMap && innermost.left % 2 === 0) this.#readName();
      else this.#readValue();
      this.#closeFilled();
    } while (this.#open.length > 0);
    const left = this.#bytes.length - this.#at;
    return {
      tree: this.#writer.tree(true),
      problem: left === 0 ? null : { at: this.#at, what: `${bytesInWords(left)} after the value` },
    };
  }

  /** One value fewer is missing; what has all of them is done, and so may be what it is in. */
  #closeFilled(): void {
    for (let open = this.#open.at(-1); open?.left === 0; open = this.#open.at(-1)) {
      this.#writer.close();
      this.#open.pop();
    }
  }

  #readName(): void {
    const innermost = this.#open.at(-1);
    const { kind, source } = this.#scalar(this.#type());
    if (kind === null) throw new CannotRead(this.#start, 'a name that is itself a map or an array');
    this.#writer.name(source);
    if (innermost !== undefined) innermost.left -= 1;
  }

  #readValue(): void {
    const innermost = this.#open.at(-1);
    const type = this.#type();
    const start = this.#start;
    if (innermost !== undefined) innermost.left -= 1;
    const size = this.#sizeOfContainer(type);
    if (size !== null) {
      const isMap = type === 0xde || type === 0xdf || type < 0x90;
      this.#writer.open(isMap ? KIND.object : KIND.array, start);
      this.#open.push({ isMap, left: isMap ? size * 2 : size });
      return;
    }
    const { kind, source, note } = this.#scalar(type);
    this.#writer.value(kind ?? KIND.word, source, start, note);
  }

  #type(): number {
    this.#start = this.#at;
    if (this.#at >= this.#bytes.length) {
      throw new CannotRead(this.#at, 'the message ends where a value should begin');
    }
    return this.#bytes[this.#at++] ?? 0;
  }

  /** `null`: it is no container. */
  #sizeOfContainer(type: number): number | null {
    if (type >= 0x80 && type <= 0x9f) return type & 0x0f;
    if (type === 0xdc || type === 0xde) return this.#view.getUint16(this.#take(2));
    if (type === 0xdd || type === 0xdf) return this.#view.getUint32(this.#take(4));
    return null;
  }

  #scalar(type: number): { kind: 2 | 3 | 4 | 5 | null; source: string; note?: string } {
    const view = this.#view;
    const integer = (value: number | bigint) => ({ kind: KIND.number, source: String(value) });
    const word = (source: string) => ({ kind: KIND.word, source });
    if (type < 0x80) return integer(type);
    if (type >= 0xe0) return integer(type - 0x100);
    if (type >= 0xa0 && type < 0xc0) return this.#string(type & 0x1f);
    switch (type) {
      case 0xc0:
        return word('null');
      case 0xc2:
        return word('false');
      case 0xc3:
        return word('true');
      case 0xc4:
        return this.#binary(view.getUint8(this.#take(1)));
      case 0xc5:
        return this.#binary(view.getUint16(this.#take(2)));
      case 0xc6:
        return this.#binary(view.getUint32(this.#take(4)));
      case 0xc7:
        return this.#extension(view.getUint8(this.#take(1)));
      case 0xc8:
        return this.#extension(view.getUint16(this.#take(2)));
      case 0xc9:
        return this.#extension(view.getUint32(this.#take(4)));
      case 0xca:
        return this.#float(view.getFloat32(this.#take(4)), 'float 32');
      case 0xcb:
        return this.#float(view.getFloat64(this.#take(8)), 'float 64');
      case 0xcc:
        return integer(view.getUint8(this.#take(1)));
      case 0xcd:
        return integer(view.getUint16(this.#take(2)));
      case 0xce:
        return integer(view.getUint32(this.#take(4)));
      case 0xcf:
        return integer(view.getBigUint64(this.#take(8)));
      case 0xd0:
        return integer(view.getInt8(this.#take(1)));
      case 0xd1:
        return integer(view.getInt16(this.#take(2)));
      case 0xd2:
        return integer(view.getInt32(this.#take(4)));
      case 0xd3:
        return integer(view.getBigInt64(this.#take(8)));
      case 0xd4:
      case 0xd5:
      case 0xd6:
      case 0xd7:
      case 0xd8:
        return this.#extension(2 ** (type - 0xd4));
      case 0xd9:
        return this.#string(view.getUint8(this.#take(1)));
      case 0xda:
        return this.#string(view.getUint16(this.#take(2)));
      case 0xdb:
        return this.#string(view.getUint32(this.#take(4)));
      case 0xc1:
        throw new CannotRead(this.#start, '0xc1 begins no value');
      default:
        return { kind: null, source: '' };
    }
  }

  #float(value: number, note: string) {
    return { kind: KIND.number, source: floatSource(value), note };
  }

  #string(length: number) {
    const from = this.#take(length);
    const raw = this.#bytes.subarray(from, from + length);
    const { text, badAt } = readUtf8(raw);
    if (badAt === -1) return { kind: KIND.string, source: JSON.stringify(text) };
    const note = `string, not UTF-8 from byte ${String(from + badAt)}`;
    return { kind: KIND.bytes, source: bytesSource(raw), note };
  }

  #binary(length: number) {
    const from = this.#take(length);
    const raw = this.#bytes.subarray(from, from + length);
    return { kind: KIND.bytes, source: bytesSource(raw), note: bytesInWords(length) };
  }

  #extension(length: number) {
    const type = this.#view.getInt8(this.#take(1));
    const from = this.#take(length);
    const raw = this.#bytes.subarray(from, from + length);
    const moment = type === TIMESTAMP ? this.#timestamp(from, length) : null;
    if (moment !== null) {
      return { kind: KIND.string, source: JSON.stringify(moment), note: 'timestamp' };
    }
    return { kind: KIND.bytes, source: bytesSource(raw), note: `extension ${String(type)}` };
  }

  /** RFC 3339, to the nanosecond; `null` where it is none that JavaScript has a date for. */
  #timestamp(at: number, length: number): string | null {
    const view = this.#view;
    let [seconds, nanoseconds] = [0n, 0n];
    if (length === 4) seconds = BigInt(view.getUint32(at));
    else if (length === 8) {
      const both = view.getBigUint64(at);
      [seconds, nanoseconds] = [both & 0x3_ffff_ffffn, both >> 34n];
    } else if (length === 12) {
      [seconds, nanoseconds] = [view.getBigInt64(at + 4), BigInt(view.getUint32(at))];
    } else return null;
    const date = new Date(Number(seconds) * 1000);
    if (nanoseconds > 999_999_999n || Number.isNaN(date.getTime())) return null;
    const fraction = nanoseconds === 0n ? '' : `.${String(nanoseconds).padStart(9, '0')}`;
    return `${date.toISOString().slice(0, -5)}${fraction}Z`;
  }

  /** Goes past so many bytes; returns where they begin. */
  #take(length: number): number {
    const from = this.#at;
    const left = this.#bytes.length - from;
    if (length > left) {
      const needed = `${bytesInWords(length)} needed from byte ${String(from)}`;
      throw new CannotRead(
        this.#start,
        `the value that begins here is cut: ${needed}, ${String(left)} there`,
      );
    }
    this.#at += length;
    return from;
  }
}

const TIMESTAMP = -1;

function bytesInWords(count: number): string {
  return count === 1 ? '1 byte' : `${count.toLocaleString('en')} bytes`;
}
