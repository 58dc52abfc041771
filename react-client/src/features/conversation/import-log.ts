import { fromBase64 } from '../../lib/base64';
import { fromCsvText } from '../../lib/csv-text';
import type { Outgoing, TimedMessage } from '../../lib/send-plan';

export type ImportedLog =
  | {
      readonly ok: true;
      /** Those that were sent, from the first on. */
      readonly sent: readonly TimedMessage[];
      /** Replies and notices: what there was to read besides. */
      readonly others: number;
    }
  /** `problem` is one line, and names the line of the file where it has one. */
  | { readonly ok: false; readonly problem: string };

/** A line of the file, whichever of our two forms it has. */
interface Row {
  readonly line: number;
  readonly cells: Readonly<Record<string, unknown>>;
}

class BadFile extends Error {}

/** Reads an export, NDJSON or CSV, back. */
export function importLog(text: string): ImportedLog {
  try {
    const isNdjson = /^\s*\{/.test(text);
    const rows = isNdjson ? rowsOfNdjson(text) : rowsOfCsv(text);
    const times: number[] = [];
    const sent: TimedMessage[] = [];
    let others = 0;
    for (const row of rows) {
      const { type } = row.cells;
      if (typeof type !== 'string' || type === '') fail(row.line, 'has no "type"');
      const atMs = numberIn(row, 'at_ms');
      if (type !== 'sent') {
        others += 1;
        continue;
      }
      times.push(atMs);
      if (atMs < (times.at(-2) ?? atMs)) fail(row.line, 'was sent before the message above it');
      sent.push({ afterMs: atMs - (times[0] ?? atMs), data: dataIn(row) });
    }
    if (sent.length === 0) throw new BadFile('In this file nothing was sent.');
    return { ok: true, sent, others };
  } catch (error) {
    if (error instanceof BadFile) return { ok: false, problem: error.message };
    throw error;
  }
}

/** The same messages, so many times as fast; `Infinity`: all at once. */
export function atSpeed(sent: readonly TimedMessage[], speed: number): readonly TimedMessage[] {
  return sent.map(({ afterMs, data }) => ({ afterMs: afterMs / speed, data }));
}

function fail(line: number, what: string): never {
  throw new BadFile(`Line ${String(line)} ${what}.`);
}

function rowsOfNdjson(text: string): Row[] {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    const number = index + 1;
    let cells: unknown;
    try {
      cells = JSON.parse(line);
    } catch {
      fail(number, 'is not JSON');
    }
    if (typeof cells !== 'object' || cells === null || Array.isArray(cells)) {
      fail(number, 'is not a JSON object');
    }
    return [{ line: number, cells: cells as Row['cells'] }];
  });
}

function rowsOfCsv(text: string): Row[] {
  const [head, ...rows] = readCsv(text);
  if (!head?.cells.includes('type') || !head.cells.includes('at_ms')) {
    throw new BadFile(
      'Neither NDJSON nor CSV as this page exports it: no column “type” in line 1.',
    );
  }
  return rows.map(({ line, cells }) => {
    if (cells.length !== head.cells.length) {
      fail(line, `has ${String(cells.length)} cells, not ${String(head.cells.length)}`);
    }
    return {
      line,
      cells: Object.fromEntries(
        head.cells.map((name, index) => [name, fromCsvText(cells[index] ?? '')]),
      ),
    };
  });
}

/** RFC 4180, also with bare line feeds. */
function readCsv(text: string): { readonly line: number; readonly cells: readonly string[] }[] {
  const rows: { line: number; cells: string[] }[] = [];
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/y;
  let line = 1;
  let row = { line, cells: [] as string[] };
  for (let at = 0; at < text.length;) {
    cell.lastIndex = at;
    const match = cell.exec(text);
    if (match === null) fail(line, 'has a quote that does not fit');
    const [whole, inQuotes, plain, end] = match;
    row.cells.push(inQuotes?.replaceAll('""', '"') ?? plain ?? '');
    line += whole.split('\n').length - 1;
    at += whole.length;
    // A last line without its end is whole all the same; a comma there begins an empty cell.
    if (end === ',' && at === text.length) row.cells.push('');
    if (end !== ',' || at === text.length) {
      rows.push(row);
      row = { line, cells: [] };
    }
  }
  return rows;
}

function numberIn({ line, cells }: Row, name: string): number {
  const value = cells[name];
  const figure = typeof value === 'string' && value !== '' ? Number(value) : value;
  if (typeof figure !== 'number' || !Number.isFinite(figure)) {
    fail(line, `has no number in "${name}"`);
  }
  return figure;
}

function dataIn({ line, cells }: Row): Outgoing {
  const { kind, data } = cells;
  if (typeof data !== 'string') fail(line, 'has no "data"');
  if (kind === 'text') return data;
  if (kind !== 'binary') fail(line, 'is of a "kind" that is neither text nor binary');
  try {
    return fromBase64(data);
  } catch {
    fail(line, 'is binary, but its "data" is not base64');
  }
}
