import { useSyncExternalStore } from 'react';

export type ColourScheme = 'light' | 'dark';

const SYSTEM_IS_DARK = '(prefers-color-scheme: dark)';

const ARE_FORCED = '(forced-colors: active)';

/** Changes whenever the colours do: what is painted, not styled, has to be painted again. */
export function useColours(): string {
  return useSyncExternalStore(subscribe, () =>
    matchMedia(ARE_FORCED).matches ? `${colourScheme()}, forced` : colourScheme(),
  );
}

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
  const system = [SYSTEM_IS_DARK, ARE_FORCED].map((query) => matchMedia(query));
  for (const one of system) one.addEventListener('change', callback);
  return () => {
    chosen.disconnect();
    for (const one of system) one.removeEventListener('change', callback);
  };
}
