export const DEFAULT_SOCKET_URL = 'ws://127.0.0.1:8765/';

const MOST_PORT = 65_535;

export type SocketUrl =
  | { readonly ok: true; readonly url: string }
  /** `problem` is one line, fit to stand beside the field. */
  | { readonly ok: false; readonly problem: string };

/**
 * Checks what was typed as an address before the browser gets to refuse it with an error that
 * says little, or, for mixed content, with a mere 1006.
 *
 * @param pageProtocol `location.protocol` of the page that is to connect.
 */
export function readSocketUrl(typed: string, pageProtocol: string): SocketUrl {
  const text = typed.trim();
  if (text === '') return wrong(`Enter an address, such as ${DEFAULT_SOCKET_URL}`);
  if (/\s/.test(text)) return wrong('An address has no spaces in it.');

  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) {
    return wrong(
      `An address starts with ws:// or wss:// – did you mean ws://${text.replace(/^\/+/, '')}?`,
    );
  }
  if (scheme === 'http' || scheme === 'https') {
    const meant = scheme === 'http' ? 'ws' : 'wss';
    return wrong(
      `${scheme}:// is for web pages – did you mean ${meant}${text.slice(scheme.length)}?`,
    );
  }
  if (scheme !== 'ws' && scheme !== 'wss') {
    return wrong(`An address starts with ws:// or wss://, not ${scheme}://`);
  }
  if (text.includes('#')) return wrong('A WebSocket address cannot have a #fragment.');

  const url = parse(text);
  if (url === null) {
    const port = /^[^/]+\/\/[^/?]*:(\d+)(?:[/?]|$)/.exec(text)?.[1];
    return wrong(
      Number(port) > MOST_PORT
        ? `There is no port ${port ?? ''}: they go up to ${String(MOST_PORT)}.`
        : 'This is not a whole address: ws://host:port/path',
    );
  }
  if (pageProtocol === 'https:' && url.protocol === 'ws:' && !isLoopback(url.hostname)) {
    return wrong('This page came over https, from where browsers allow only wss:// addresses.');
  }
  return { ok: true, url: url.href };
}

/** Whether a server at this host is on the reader's own machine. */
export function isLoopback(hostname: string): boolean {
  return (
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname === '[::1]' ||
    /^127(\.\d{1,3}){3}$/.test(hostname)
  );
}

function parse(text: string): URL | null {
  try {
    return new URL(text);
  } catch {
    return null;
  }
}

function wrong(problem: string): SocketUrl {
  return { ok: false, problem };
}
