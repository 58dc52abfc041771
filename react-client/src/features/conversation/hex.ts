export type HexReading =
  | { readonly ok: true; readonly bytes: Uint8Array<ArrayBuffer> }
  /** `problem` is one line, fit to stand beside the field. */
  | { readonly ok: false; readonly problem: string };

/**
 * Reads bytes as people write them: `de ad be ef`, `DEADBEEF`, `0xde, 0xad`, `de:ad`, over as many
 * lines as one likes.
 */
export function readHex(typed: string): HexReading {
  const digits: string[] = [];
  for (const part of typed.split(/[\s,:]+/)) {
    const group = part.replace(/^0x/i, '');
    const stray = /[^0-9a-f]/i.exec(group)?.[0];
    if (stray !== undefined) return { ok: false, problem: `“${stray}” is not a hex digit.` };
    if (group.length % 2 === 1) {
      return { ok: false, problem: `“${shorten(group)}” is half a byte short: two digits each.` };
    }
    digits.push(group);
  }
  const all = digits.join('');
  const bytes = new Uint8Array(all.length / 2);
  for (let at = 0; at < bytes.length; at++) {
    bytes[at] = Number.parseInt(all.slice(at * 2, at * 2 + 2), 16);
  }
  return { ok: true, bytes };
}

function shorten(group: string): string {
  return group.length <= 12 ? group : `…${group.slice(-11)}`;
}

/** `[0xde, 0xad]` → `de ad`. */
export function writeHex(bytes: Uint8Array): string {
  return Array.from(bytes, hexOf).join(' ');
}

const BYTES_IN_ROW = 16;

/** As `hexdump -C` shows it: offset, sixteen bytes, and those of them that are printable. */
export function hexDump(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let offset = 0; offset < bytes.length; offset += BYTES_IN_ROW) {
    const row = Array.from(bytes.subarray(offset, offset + BYTES_IN_ROW));
    const left = row.slice(0, 8).map(hexOf).join(' ');
    const right = row.slice(8).map(hexOf).join(' ');
    const shown = row.map((byte) =>
      byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.',
    );
    const address = offset.toString(16).padStart(8, '0');
    rows.push(`${address}  ${left.padEnd(23)}  ${right.padEnd(23)}  |${shown.join('')}|`);
  }
  return rows.join('\n');
}

function hexOf(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}
