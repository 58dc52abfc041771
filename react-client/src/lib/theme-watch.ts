import { useSyncExternalStore } from 'react';

const SYSTEM_IS_DARK = '(prefers-color-scheme: dark)';

/** Changes whenever the colours do: what is painted, not styled, has to be painted again. */
export function useColourScheme(): string {
  return useSyncExternalStore(subscribe, colourScheme);
}

function colourScheme(): string {
  const chosen = document.documentElement.dataset.theme;
  return chosen ?? (matchMedia(SYSTEM_IS_DARK).matches ? 'dark' : 'light');
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
