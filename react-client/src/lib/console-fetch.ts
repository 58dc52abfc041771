const STORAGE_KEY = 'echo-trio.console-token';

/** What the console refused, in its own words. */
export class ConsoleProblem extends Error {
  readonly status: number;
  /** The setting that a 422 names, as the console spells it. */
  readonly field: string | undefined;
  /** Which of several that setting is, from 0, where there are several. */
  readonly at: number | undefined;

  constructor(status: number, message: string, field?: string, at?: number) {
    super(message);
    this.name = 'ConsoleProblem';
    this.status = status;
    this.field = field;
    this.at = at;
  }
}

/** Kept for this tab alone: a token is no setting. */
export function rememberConsoleToken(token: string): void {
  try {
    sessionStorage.setItem(STORAGE_KEY, token);
  } catch {
    // Storage may be forbidden; then the token is asked for again after a reload.
  }
  heldToken = token;
}

let heldToken: string | null = null;

export function hasConsoleToken(): boolean {
  return consoleToken() !== null;
}

/** For a thread, which has no storage of its own. */
export function consoleToken(): string | null {
  try {
    return sessionStorage.getItem(STORAGE_KEY) ?? heldToken;
  } catch {
    return heldToken;
  }
}

/**
 * Asks the console that serves this page, with its token where one is known.
 *
 * @throws ConsoleProblem for any answer but a good one.
 */
export async function consoleFetch(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const token = consoleToken();
  if (token !== null && token !== '') headers.set('Authorization', `Bearer ${token}`);
  // Relative: the page works under whatever path it is served from.
  const answer = await fetch(path, { ...init, headers });
  if (!answer.ok) throw await problemOf(answer);
  return answer;
}

/** What the console answers to a request for JSON. */
export async function consoleJson(path: string, init: RequestInit = {}): Promise<unknown> {
  const answer = await consoleFetch(path, init);
  return answer.json();
}

async function problemOf(answer: Response): Promise<ConsoleProblem> {
  const text = await answer.text().catch(() => '');
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body === 'object' && body !== null && 'error' in body) {
      const field = 'field' in body && typeof body.field === 'string' ? body.field : undefined;
      const at = 'at' in body ? Number(body.at) : undefined;
      return new ConsoleProblem(answer.status, String(body.error), field, at);
    }
  } catch {
    // Not JSON: the text itself is the message.
  }
  const message = text.trim() === '' || text.includes('<') ? answer.statusText : text.trim();
  return new ConsoleProblem(answer.status, message);
}
