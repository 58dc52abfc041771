/** What the server calls the ways in which connections end or are refused, in words. */

interface Words {
  readonly name: string;
  readonly meaning?: string;
}

const OUTCOMES: Readonly<Partial<Record<string, Words>>> = {
  clean: { name: 'Closed cleanly', meaning: 'both ends sent a close frame' },
  refused: { name: 'Refused', meaning: 'handshake answered with an HTTP error' },
  tls_failed: { name: 'TLS failed', meaning: 'or was not done in time' },
  cut_in_handshake: { name: 'Left early', meaning: 'before the handshake was done' },
  abnormal: { name: 'Broken', meaning: 'TCP ended without closing handshake' },
  violation: { name: 'Against the rules', meaning: 'broke the protocol or a limit' },
  close_timeout: { name: 'Close unanswered', meaning: 'within the close timeout' },
  write_timeout: { name: 'Did not read', meaning: 'its replies, within the write timeout' },
  ping_timeout: { name: 'Ping unanswered', meaning: 'within the ping timeout' },
  idle_timeout: { name: 'Idle', meaning: 'said nothing for too long' },
  memory: { name: 'Out of memory', meaning: 'held the most when too much was held' },
  failed: { name: 'Failed', meaning: 'a fault of the server' },
  dropped: { name: 'Dropped', meaning: 'still there when the drain ran out' },
  lost_with_worker: { name: 'Lost with its worker', meaning: 'which crashed or was killed' },
};

const REASONS: Readonly<Partial<Record<string, string>>> = {
  not_http: 'Not HTTP',
  http_version: 'Version of HTTP',
  method: 'Method is not GET',
  target: 'Malformed target',
  header: 'Malformed header',
  head_too_large: 'Headers too large',
  host: 'Host missing or doubled',
  body: 'Request with a body',
  not_an_upgrade: 'No upgrade asked for',
  websocket_version: 'Version of WebSocket',
  key: 'Key missing or malformed',
  subprotocol: 'Malformed subprotocol',
  extension: 'Malformed extension',
  path: 'Unknown path',
  parameter: 'Parameter of a path',
  asked_for: 'Asked for by its path',
  workers: 'Path for one worker alone',
  origin: 'Origin not allowed',
  timeout: 'Handshake not done in time',
  capacity: 'Server full',
  displaced: 'Silent, and its place was needed',
  descriptors: 'No file descriptors left',
  draining: 'Server was stopping',
  upstream_unreachable: 'Upstream out of reach',
  upstream_timeout: 'Upstream did not answer',
  upstream_answer: 'Upstream’s answer was malformed',
  upstream_refused: 'Upstream refused',
  proxy_header: 'PROXY header missing or malformed',
};

/** A name that this page does not know, of a newer server, stays as it is but for its dashes. */
export function outcomeWords(outcome: string): Words {
  return OUTCOMES[outcome] ?? { name: outcome.replaceAll('_', ' ') };
}

export function reasonWords(reason: string): string {
  return REASONS[reason] ?? reason.replaceAll('_', ' ');
}
