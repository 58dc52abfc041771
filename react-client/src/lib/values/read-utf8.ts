const STRICT = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const LENIENT = new TextDecoder('utf-8', { ignoreBOM: true });

export interface Utf8Reading {
  /** With U+FFFD for what is not UTF-8. */
  readonly text: string;
  /** The first byte that cannot be part of UTF-8; -1 where all can. */
  readonly badAt: number;
}

export function readUtf8(bytes: Uint8Array): Utf8Reading {
  try {
    return { text: STRICT.decode(bytes), badAt: -1 };
  } catch {
    return { text: LENIENT.decode(bytes), badAt: firstBadByte(bytes) };
  }
}

/** Where the first sequence begins that is not well-formed (Unicode 15, table 3-7); else -1. */
function firstBadByte(bytes: Uint8Array): number {
  let at = 0;
  while (at < bytes.length) {
    const first = bytes[at] ?? 0;
    const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if ((first >= 0x80 && first < 0xc2) || first > 0xf4) return at;
    for (let index = 1; index < length; index++) {
      const byte = bytes[at + index] ?? 0;
      const [low, high] = index > 1 ? [0x80, 0xbf] : secondByteOf(first);
      if (byte < low || byte > high) return at;
    }
    at += length;
  }
  return -1;
}

/** Neither overlong forms, nor surrogates, nor beyond U+10FFFF. */
function secondByteOf(first: number): readonly [number, number] {
  switch (first) {
    case 0xe0:
      return [0xa0, 0xbf];
    case 0xed:
      return [0x80, 0x9f];
    case 0xf0:
      return [0x90, 0xbf];
    case 0xf4:
      return [0x80, 0x8f];
    default:
      return [0x80, 0xbf];
  }
}
