import { remember, remembered } from '../lib/remembered';

export type Theme = 'light' | 'dark';

const STORAGE_KEY = 'echo-trio.theme';

/** Applies the remembered choice; without one, the style sheet follows the system by itself. */
export function applyRememberedTheme(): void {
  const theme = remembered(STORAGE_KEY);
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
}

/** The choice, or the system's where none was made. */
export function currentTheme(): Theme {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === 'light' || chosen === 'dark') return chosen;
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

export function chooseTheme(theme: Theme): void {
  document.documentElement.dataset.theme = theme;
  remember(STORAGE_KEY, theme);
}
