import { nameOfSender } from '../../lib/automation';
import { toBase64 } from '../../lib/base64';
import { toCsvText } from '../../lib/csv-text';
import type { Entry } from './conversation';
import { type Payload, sizeBytesOf } from './payload';

/** What an export says of something that happened to the connection. */
export type DescribeNotice<Notice> = (
  notice: Notice,
) => { readonly type: string } & Record<string, unknown>;

/** One entry as a flat record; keys in the order of the CSV's columns. */
export interface ExportedEntry {
  readonly type: string;
  /** RFC 3339, to the microsecond where the browser's clock has that. */
  readonly at: string;
  /** On a clock that never jumps: what times between messages are taken from. */
  readonly at_ms: number;
  readonly number?: number;
  readonly kind?: Payload['type'];
  /** Text as it is; binary in base64. */
  readonly data?: string;
  readonly size_bytes?: number;
  /** Of a sent message its fate, of a reply what it was worth. */
  readonly verdict?: string;
  readonly answers?: number;
  readonly suffix?: string;
  readonly round_trip_ms?: number;
  readonly details?: Record<string, unknown>;
  /** What sent a message by itself: `on open`, `heartbeat`, `rule 1`. */
  readonly sent_by?: string;
}

export const COLUMNS = [
  'type',
  'at',
  'at_ms',
  'number',
  'kind',
  'data',
  'size_bytes',
  'verdict',
  'answers',
  'suffix',
  'round_trip_ms',
  'details',
  'sent_by',
] as const satisfies readonly (keyof ExportedEntry)[];

export function exportNdjson<Notice>(
  entries: readonly Entry<Notice>[],
  describe: DescribeNotice<Notice>,
): Blob {
  return new Blob(
    entries.map((entry) => `${JSON.stringify(exportedEntry(entry, describe))}\n`),
    { type: 'application/x-ndjson' },
  );
}

/** RFC 4180: commas, CRLF, quotes doubled. No text in it is a formula to a spreadsheet. */
export function exportCsv<Notice>(
  entries: readonly Entry<Notice>[],
  describe: DescribeNotice<Notice>,
): Blob {
  const row = (entry: Entry<Notice>) => {
    const exported = exportedEntry(entry, describe);
    return `${COLUMNS.map((column) => cellOf(exported[column])).join(',')}\r\n`;
  };
  return new Blob([`${COLUMNS.join(',')}\r\n`, ...entries.map(row)], { type: 'text/csv' });
}

/** Describe one entry as an export does. */
export function exportedEntry<Notice>(
  entry: Entry<Notice>,
  describe: DescribeNotice<Notice>,
): ExportedEntry {
  const at = new Date(performance.timeOrigin + entry.atMs).toISOString();
  const at_ms = rounded(entry.atMs);
  if (entry.kind === 'notice') {
    const { type, ...details } = describe(entry.notice);
    return { type, at, at_ms, details };
  }
  const { payload } = entry;
  const carried = {
    kind: payload.type,
    data: payload.type === 'text' ? payload.text : toBase64(payload.bytes),
    size_bytes: sizeBytesOf(payload),
  };
  if (entry.kind === 'sent') {
    const { number, fate, by } = entry;
    const sent = { type: 'sent', at, at_ms, number, ...carried, verdict: fate };
    return by === undefined ? sent : { ...sent, sent_by: nameOfSender(by) };
  }
  const { answers, roundTripMs, verdict } = entry;
  return {
    type: 'received',
    at,
    at_ms,
    ...carried,
    verdict,
    ...(answers !== undefined && { answers: answers.number }),
    ...(answers?.suffix != null && { suffix: answers.suffix }),
    ...(roundTripMs !== undefined && { round_trip_ms: rounded(roundTripMs) }),
  };
}

function cellOf(value: ExportedEntry[keyof ExportedEntry]): string {
  if (value === undefined) return '';
  const text =
    typeof value === 'string'
      ? toCsvText(value)
      : typeof value === 'object'
        ? JSON.stringify(value)
        : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function rounded(durationMs: number): number {
  return Math.round(durationMs * 1000) / 1000;
}
