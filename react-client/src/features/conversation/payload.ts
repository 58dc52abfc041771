/** What a message carries. A string on the wire is UTF-8, so text holds no lone surrogate. */
export type Payload =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'binary'; readonly bytes: Uint8Array<ArrayBuffer> };

export const textPayload = (text: string): Payload => ({ type: 'text', text });
export const binaryPayload = (bytes: Uint8Array<ArrayBuffer>): Payload => ({
  type: 'binary',
  bytes,
});

/**
 * A lone surrogate, which no text off the wire can start with: it keeps binary keys apart from
 * those of text.
 */
const BINARY_MARK = '\ud800';

// One character for each byte, and a different one for each: as a decoder, "latin1" is that.
const BYTES_AS_CHARACTERS = new TextDecoder('latin1');

/**
 * What replies are compared by: equal only for equal payloads of the same type. A suffix appended
 * to the payload, in ASCII, is appended to the key.
 */
export function matchKey(payload: Payload): string {
  return payload.type === 'text'
    ? payload.text
    : BINARY_MARK + BYTES_AS_CHARACTERS.decode(payload.bytes);
}

/** The payload without what the server appended: a space and the suffix's digits. */
export function withoutSuffix(payload: Payload, suffix: string | null): Payload {
  if (suffix === null) return payload;
  const length = suffix.length + 1;
  return payload.type === 'text'
    ? textPayload(payload.text.slice(0, -length))
    : binaryPayload(payload.bytes.subarray(0, -length));
}

/** What a payload weighs in memory: characters of text, bytes of binary. */
export function weightOf(payload: Payload): number {
  return payload.type === 'text' ? payload.text.length : payload.bytes.length;
}

/** How many bytes it is on the wire. */
export function sizeBytesOf(payload: Payload): number {
  return payload.type === 'text'
    ? new TextEncoder().encode(payload.text).length
    : payload.bytes.length;
}
