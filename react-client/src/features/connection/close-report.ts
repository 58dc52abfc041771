import { explainCloseCode, NO_CLOSE_FRAME } from './close-codes';

/** How a connection, or the attempt at one, came to its end. */
export interface CloseReport {
  readonly url: string;
  readonly code: number;
  /** Empty when none was given. */
  readonly reason: string;
  readonly closedBy: 'page' | 'server' | 'unknown';
  /** `false`: the handshake never finished. */
  readonly hadOpened: boolean;
  /** Of a connection that the console has dialled: its word for the cause, and a sentence. */
  readonly cause?: string;
  readonly why?: string;
}

const NO_CODE_IN_FRAME = 1005;

/**
 * Who closed. A code other than the one this page sent, in a proper closing handshake, is the
 * server's own Close frame, which crossed with ours.
 */
export function whoClosed(code: number, sentCode: number | undefined): CloseReport['closedBy'] {
  const pageAsked = sentCode !== undefined;
  if (code === NO_CLOSE_FRAME) return pageAsked ? 'page' : 'unknown';
  if (pageAsked && (code === sentCode || code === NO_CODE_IN_FRAME)) return 'page';
  return 'server';
}

export interface CloseExplanation {
  /** Who closed what. */
  readonly headline: string;
  readonly meaning: string;
  readonly advice?: string;
}

/**
 * @param isServed whether the address is of the server that has served this page, whose paths are
 *   known.
 */
export function explainClose(report: CloseReport, isServed = false): CloseExplanation {
  const { code, closedBy, hadOpened } = report;
  if (report.why !== undefined && closedBy === 'unknown') {
    const headline = hadOpened ? 'The connection broke' : 'No connection';
    return { headline, meaning: `${report.why.charAt(0).toUpperCase()}${report.why.slice(1)}.` };
  }
  if (!hadOpened) {
    if (closedBy === 'page') return CANCELLED;
    return (isServed ? refusedOnPurpose(report.url) : null) ?? NEVER_OPENED;
  }
  if (closedBy === 'unknown') {
    return { headline: 'The connection broke', ...withoutName(code) };
  }
  if (closedBy === 'page' && code === NO_CLOSE_FRAME) return UNANSWERED_CLOSE;
  const headline =
    closedBy === 'page' ? 'You closed the connection' : 'The server closed the connection';
  return { headline, ...withoutName(code) };
}

/** The server's path that refuses every handshake. */
function refusedOnPurpose(url: string): CloseExplanation | null {
  const status = /^\/(?:~[^?]*\/)?~?status\/(\d{3})(?:\/|$)/.exec(new URL(url).pathname)?.[1];
  if (status === undefined) return null;
  return {
    headline: 'No connection',
    meaning:
      `This path answers every handshake with HTTP ${status}, as it was asked to. Browsers do ` +
      'not tell a page so: here it looks as if nothing listened.',
    advice: `To see the status: python -m loadgen 1 ${url}`,
  };
}

function withoutName(code: number): Omit<CloseExplanation, 'headline'> {
  const { meaning, advice } = explainCloseCode(code);
  return advice === undefined ? { meaning } : { meaning, advice };
}

const CANCELLED: CloseExplanation = {
  headline: 'You cancelled the attempt',
  meaning: 'It was given up before the server had answered.',
};

const NEVER_OPENED: CloseExplanation = {
  headline: 'No connection',
  meaning:
    'Nothing listens there, or the handshake was refused: unknown path, server full, origin not ' +
    'allowed, certificate not trusted. Browsers hide the cause from pages; their developer ' +
    'console often tells.',
};

const UNANSWERED_CLOSE: CloseExplanation = {
  headline: 'You closed the connection',
  meaning: 'The server did not answer the Close frame, so the browser cut the connection.',
};
