import { useSyncExternalStore } from 'react';

export type ColourScheme = 'light' | 'dark';

const SYSTEM_IS_DARK = '(prefers-color-scheme: dark)';

/** Changes whenever the colours do: what is painted, not styled, has to be painted again. */
export function useColourScheme(): ColourScheme {
  return useSyncExternalStore(subscribe, colourScheme);
}

/** The one chosen, or the system's where none was. */
export function colourScheme(): ColourScheme {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === 'light' || chosen === 'dark') return chosen;
  return matchMedia(SYSTEM_IS_DARK).matches ? 'dark' : 'light';
}

function subscribe(callback: () => void): () => void {
  const chosen = new MutationObserver(callback);
  chosen.observe(document.documentElement, { attributeFilter: ['data-theme'] });
  const system = matchMedia(SYSTEM_IS_DARK);
  system.addEventListener('change', callback);
  return () => {
    chosen.disconnect();
    system.removeEventListener('change', callback);
  };
}
