export const VIEWS = ['chat', 'server', 'load'] as const;
export type View = (typeof VIEWS)[number];

/** Where one is in the page, and what a link brings along: it all stands in the address's hash. */
export interface Place {
  readonly view: View;
  /** Such as the chat's address, or the settings of a load run. */
  readonly settings: URLSearchParams;
}

/** `#/load?count=1000` → the load view with that count; anything else is the chat. */
export function readPlace(hash: string): Place {
  const [path = '', ...query] = hash.replace(/^#\/?/, '').split('?');
  const view = VIEWS.find((one) => one === path) ?? 'chat';
  return { view, settings: new URLSearchParams(query.join('?')) };
}

export function writePlace({ view, settings }: Place): string {
  const query = settings.toString();
  return `#/${view}${query === '' ? '' : `?${query}`}`;
}
