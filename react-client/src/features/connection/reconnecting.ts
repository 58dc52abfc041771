import type { CloseReport } from './close-report';

/** Codes after which the same connection may well work in a while (RFC 6455, section 7.4.1). */
const PASSING_CODES: readonly number[] = [1001, 1006, 1011, 1012, 1013, 1014];

/**
 * Whether to try again by itself. Not when the page ended it, nor when the server was done with
 * it or objected to something: that would only happen again.
 */
export function isWorthTryingAgain(report: CloseReport): boolean {
  return report.closedBy !== 'page' && PASSING_CODES.includes(report.code);
}

/** A connection that lasted so long was not part of the trouble before it. */
export const STEADY_MS = 5_000;
