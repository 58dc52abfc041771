import { useMemo, useSyncExternalStore } from 'react';

import { type Place, readPlace, type View, writePlace } from '../lib/place';

/** Where one is in the page. The address bar holds it, so that reload, back and links work. */
export function usePlace(): Place {
  const hash = useSyncExternalStore(subscribe, () => location.hash);
  return useMemo(() => readPlace(hash), [hash]);
}

export function goTo(view: View): void {
  location.hash = writePlace({ view, settings: new URLSearchParams() });
}

/** A link to a place of this page. */
export function linkTo(place: Place): string {
  return new URL(writePlace(place), location.href).href;
}

function subscribe(callback: () => void): () => void {
  window.addEventListener('hashchange', callback);
  return () => {
    window.removeEventListener('hashchange', callback);
  };
}
