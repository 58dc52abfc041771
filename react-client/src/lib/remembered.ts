/** For when storage is forbidden or full: then things last as long as the page. */
const forNow = new Map<string, string>();

/** What the page remembers under this key, across reloads; `null` if nothing. */
export function remembered(key: string): string | null {
  try {
    return localStorage.getItem(key) ?? forNow.get(key) ?? null;
  } catch {
    return forNow.get(key) ?? null;
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
