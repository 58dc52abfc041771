import { KIND, type Kind, NO_PLACE, TreeBuilder, type ValueTree } from './value-tree';

/**
 * Writes the values of a binary message as a text in one line, and their tree. The text is JSON
 * wherever JSON has such a value; bytes are `h'00ff'`, as in CBOR's diagnostic notation.
 */
export class TreeWriter {
  readonly #builder = new TreeBuilder();
  readonly #parts: string[] = [];
  #length = 0;
  /** How many values each open container has so far. */
  readonly #sizes: number[] = [];
  #key: { readonly keyStart: number; readonly keyEnd: number } = NO_PLACE;

  /** The name of the value that comes next, as it is to be shown. */
  name(source: string): void {
    this.#separate();
    const keyStart = this.#length;
    this.#write(source);
    this.#key = { keyStart, keyEnd: this.#length };
    this.#write(': ');
  }

  value(kind: Kind, source: string, byteAt: number, note?: string): void {
    const place = this.#begin(byteAt);
    const start = this.#length;
    this.#write(source);
    const node = this.#builder.add(kind, start, this.#length, place);
    if (note !== undefined) this.#builder.note(node, note);
  }

  open(kind: Kind, byteAt: number, note?: string): void {
    const place = this.#begin(byteAt);
    const node = this.#builder.open(kind, this.#length, place);
    if (note !== undefined) this.#builder.note(node, note);
    this.#write(kind === KIND.object ? '{' : '[');
    this.#sizes.push(0);
  }

  close(): void {
    this.#write(this.#builder.isInObject ? '}' : ']');
    this.#sizes.pop();
    this.#builder.close(this.#length);
  }

  tree(hasUniqueNames: boolean): ValueTree {
    return this.#builder.tree(this.#parts.join(''), hasUniqueNames);
  }

  #begin(byteAt: number) {
    const isNamed = this.#key.keyStart !== -1;
    if (!isNamed) this.#separate();
    const place = { ...this.#key, byteAt };
    this.#key = NO_PLACE;
    return place;
  }

  #separate(): void {
    const innermost = this.#sizes.length - 1;
    const size = this.#sizes[innermost];
    if (size === undefined) return;
    if (size > 0) this.#write(', ');
    this.#sizes[innermost] = size + 1;
  }

  #write(text: string): void {
    this.#parts.push(text);
    this.#length += text.length;
  }
}

/** Bytes as they are written among values: `h'00ff'`. */
export function bytesSource(bytes: Uint8Array): string {
  let digits = '';
  for (const byte of bytes) digits += HEX[byte] ?? '';
  return `h'${digits}'`;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** A floating-point number so that it is told from an integer: `1.0`, `1e+21`, `NaN`. */
export function floatSource(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  return Number.isInteger(value) && Math.abs(value) < 1e21 ? `${String(value)}.0` : String(value);
}
