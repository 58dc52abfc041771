/**
 * Reads what HdrHistogram (Gil Tene) calls V2, compressed, in base64: counts of whole numbers, of
 * which large ones are kept to so many significant digits.
 */

const COMPRESSED_COOKIE = 0x1c849304;
const COOKIE = 0x1c849303;
const COMPRESSED_HEAD_BYTES = 8;
const HEAD_BYTES = 40;
const ROUNDING = 1e-6;

/** How often each value was recorded, ascending; values stand for all that are equivalent. */
export interface HdrHistogram {
  readonly values: readonly number[];
  readonly counts: readonly number[];
  readonly total: number;
}

/** @throws RangeError if it is no such histogram. */
export async function decodeHdrHistogram(base64: string): Promise<HdrHistogram> {
  const packed = bytesOf(base64);
  const head = new DataView(packed.buffer);
  if (packed.length < COMPRESSED_HEAD_BYTES || baseCookie(head.getInt32(0)) !== COMPRESSED_COOKIE) {
    throw new RangeError('not a compressed HdrHistogram V2');
  }
  const body = await inflate(packed.slice(COMPRESSED_HEAD_BYTES));
  return readBody(body);
}

/** The least value that so many per cent of what was recorded do not exceed; `null` for none. */
export function valueAtPercentile(histogram: HdrHistogram, percent: number): number | null {
  const { values, counts, total } = histogram;
  // Not one more because 99.9 % of 1,000 comes out as a hair above 999.
  const wanted = Math.max(1, Math.ceil((percent / 100) * total - ROUNDING));
  let seen = 0;
  for (let row = 0; row < counts.length; row++) {
    seen += counts[row] ?? 0;
    if (seen >= wanted) return values[row] ?? null;
  }
  return null;
}

/** The lower nibbles of a cookie's second byte tell the word size, which V2 does not use. */
function baseCookie(cookie: number): number {
  return cookie & ~0xf0;
}

function readBody(body: Uint8Array<ArrayBuffer>): HdrHistogram {
  const view = new DataView(body.buffer);
  if (body.length < HEAD_BYTES || baseCookie(view.getInt32(0)) !== COOKIE) {
    throw new RangeError('not an HdrHistogram V2');
  }
  const payloadBytes = view.getInt32(4);
  const digits = view.getInt32(12);
  const lowest = Number(view.getBigInt64(16));
  const unitMagnitude = Math.floor(Math.log2(Math.max(1, lowest)));
  // So many sub-buckets that values up to here are told apart to one unit.
  const halfMagnitude = Math.ceil(Math.log2(2 * 10 ** digits)) - 1;
  const half = 2 ** halfMagnitude;
  const payload = body.subarray(HEAD_BYTES, HEAD_BYTES + payloadBytes);

  const values: number[] = [];
  const counts: number[] = [];
  let total = 0;
  let index = 0;
  for (const count of zigZagNumbers(payload)) {
    if (count < 0) {
      index -= count; // so many empty slots
      continue;
    }
    if (count > 0) {
      const bucket = Math.max(0, Math.floor(index / half) - 1);
      const subBucket = index < half ? index : (index % half) + half;
      const step = 2 ** (bucket + unitMagnitude);
      // The highest of the equivalent values, as HdrHistogram's own percentiles have it.
      values.push((subBucket + 1) * step - 1);
      counts.push(count);
      total += count;
    }
    index += 1;
  }
  return { values, counts, total };
}

/** Little-endian groups of seven bits, the ninth byte whole; the sign is in the lowest bit. */
function* zigZagNumbers(payload: Uint8Array): Generator<number> {
  let at = 0;
  while (at < payload.length) {
    let value = 0n;
    for (let group = 0; ; group++) {
      const byte = payload[at++];
      if (byte === undefined) throw new RangeError('the histogram ends within a number');
      if (group === 8) {
        value |= BigInt(byte) << 56n;
        break;
      }
      value |= BigInt(byte & 0x7f) << BigInt(7 * group);
      if (byte < 0x80) break;
    }
    yield Number(value & 1n ? -((value + 1n) >> 1n) : value >> 1n);
  }
}

function bytesOf(base64: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  return bytes;
}

async function inflate(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> {
  const source = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  // "deflate" is what zlib writes.
  const inflated = source.pipeThrough(new DecompressionStream('deflate'));
  return new Uint8Array(await new Response(inflated).arrayBuffer());
}
