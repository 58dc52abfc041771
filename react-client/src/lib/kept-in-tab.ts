/** What was kept for this tab of the browser, across a reload; `null` if nothing. */
export function keptInTab(key: string): string | null {
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Keeps it until the tab is closed, or forgets it; where there is no room, nothing is kept. */
export function keepInTab(key: string, value: string | null): void {
  try {
    sessionStorage.removeItem(key);
    if (value !== null) sessionStorage.setItem(key, value);
  } catch {
    // Forbidden, or full.
  }
}
