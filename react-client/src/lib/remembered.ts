/** For when storage is forbidden or full: then things last as long as the page. */
const forNow = new Map<string, string>();

/** What the page remembers under this key, across reloads; `null` if nothing. */
export function remembered(key: string): string | null {
  // First what found no room: what is stored is older then.
  const newest = forNow.get(key);
  if (newest !== undefined) return newest;
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
    forNow.delete(key);
  } catch {
    forNow.set(key, value);
  }
}

export function forget(key: string): void {
  forNow.delete(key);
  try {
    localStorage.removeItem(key);
  } catch {
    // Where storage is forbidden, nothing is stored.
  }
}
