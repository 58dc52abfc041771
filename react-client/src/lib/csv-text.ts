/**
 * What a spreadsheet would compute: a formula, in ASCII or full width, or what OWASP says is taken
 * for one ("CSV Injection"). And what begins as the mark does that is put before these.
 */
const NEEDS_MARK = /^(?:'|[\t\r]|\s*[=+\-@＝＋－＠])/;

/** A text of a peer's as a cell: with an apostrophe before it where a spreadsheet would compute it. */
export function toCsvText(text: string): string {
  return NEEDS_MARK.test(text) ? `'${text}` : text;
}

/** The text that `toCsvText` made a cell of. */
export function fromCsvText(cell: string): string {
  return cell.startsWith("'") && NEEDS_MARK.test(cell.slice(1)) ? cell.slice(1) : cell;
}
