/**
 * How a reply finds its message: what the reader has chosen, and what the server was seen to do.
 * The words are those of the generator's `--verify`.
 */
export type Matching =
  /** Whatever fits: by suffix, by equality, or by an identifier in JSON. */
  | { readonly by: 'auto' }
  | { readonly by: 'suffix' }
  | { readonly by: 'exact' }
  | { readonly by: 'json'; readonly path: string }
  /** Nothing is owed: what comes is counted. */
  | { readonly by: 'off' };

export const AUTO: Matching = { by: 'auto' };

/** The form in which a server was seen to answer. */
export type ReplyForm =
  | { readonly by: 'suffix' }
  | { readonly by: 'exact' }
  | { readonly by: 'json'; readonly path: string };

/** As one text to keep: `auto`, `suffix`, `exact`, `off`, `json:id`, `json:id=replyTo`. */
export function matchingText(matching: Matching): string {
  return matching.by === 'json' ? `json:${matching.path}` : matching.by;
}

/** What `matchingText` wrote; `AUTO` for anything else. */
export function readMatching(text: unknown): Matching {
  if (typeof text !== 'string') return AUTO;
  if (text.startsWith('json:')) {
    const path = text.slice('json:'.length);
    return isPath(path) ? { by: 'json', path } : AUTO;
  }
  return text === 'suffix' || text === 'exact' || text === 'off' ? { by: text } : AUTO;
}

/** Whether this is `PATH` or `PATH=PATH`, each of names and indices with dots between. */
export function isPath(text: string): boolean {
  const paths = text.split('=');
  return paths.length <= 2 && paths.every((path) => path.split('.').every((part) => part !== ''));
}

/** The paths of a `PATH` or `PATH=PATH`: in a message, and in its reply. */
export function pathsOf(path: string): { readonly own: string; readonly theirs: string } {
  const [own = '', theirs = own] = path.split('=');
  return { own, theirs };
}
