import { remember, remembered } from '../lib/remembered';
import type { ColourScheme } from '../lib/theme-watch';

const STORAGE_KEY = 'echo-trio.theme';

/** Applies the remembered choice; without one, the style sheet follows the system by itself. */
export function applyRememberedTheme(): void {
  const theme = remembered(STORAGE_KEY);
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
}

export function chooseTheme(theme: ColourScheme): void {
  document.documentElement.dataset.theme = theme;
  remember(STORAGE_KEY, theme);
}
