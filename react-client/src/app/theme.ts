export type Theme = 'light' | 'dark';

const STORAGE_KEY = 'echo-trio.theme';
const SYSTEM_IS_DARK = '(prefers-color-scheme: dark)';

/** The remembered choice, or the system's where none was made. */
export function currentTheme(): Theme {
  return rememberedTheme() ?? (matchMedia(SYSTEM_IS_DARK).matches ? 'dark' : 'light');
}

/** Applies the remembered choice; without one, the style sheet follows the system by itself. */
export function applyRememberedTheme(): void {
  const theme = rememberedTheme();
  if (theme !== null) document.documentElement.dataset.theme = theme;
}

export function chooseTheme(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(STORAGE_KEY, theme);
  } catch {
    // Storage may be forbidden; the choice then lasts as long as the page.
  }
}

/** Calls back when the system's theme changes; returns how to stop. */
export function onSystemThemeChange(callback: () => void): () => void {
  const query = matchMedia(SYSTEM_IS_DARK);
  query.addEventListener('change', callback);
  return () => {
    query.removeEventListener('change', callback);
  };
}

function rememberedTheme(): Theme | null {
  try {
    const stored = localStorage.getItem(STORAGE_KEY);
    return stored === 'light' || stored === 'dark' ? stored : null;
  } catch {
    return null;
  }
}
