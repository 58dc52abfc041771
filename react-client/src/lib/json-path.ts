/** A text as JSON; `undefined` where it is none. */
export function readJson(text: string): unknown {
  // Most texts that are no JSON are told by their first letter, which is cheaper than an exception.
  if (!/^\s*[[{"\d\-tfn]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** An object or an array in JSON; `undefined` for all else, a bare number or text among it. */
export function readJsonTree(text: string): object | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  const value = readJson(text);
  return typeof value === 'object' && value !== null ? value : undefined;
}

/** The value at `params.0.id`, names and indices with dots between; `undefined` where none is. */
export function valueAt(tree: unknown, path: string): unknown {
  let value = tree;
  for (const part of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) {
      return undefined;
    }
    value = (value as Record<string, unknown>)[part];
  }
  return value;
}

/**
 * What a message and its reply have in common at a path, as a text that is equal where JSON's
 * values are: 7 is 7.0, and neither "7" nor true. `undefined` for what identifies nothing: an
 * object, an array, null.
 */
export function keyAt(tree: unknown, path: string): string | undefined {
  const value = valueAt(tree, path);
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? JSON.stringify(value)
    : undefined;
}
