import { useMemo, useSyncExternalStore } from 'react';

import { type Place, readPlace, type View, writePlace } from '../lib/place';

/** Where one is in the page. The address bar holds it, so that reload, back and links work. */
export function usePlace(): Place {
  const hash = useSyncExternalStore(subscribe, () => location.hash);
  return useMemo(() => readPlace(hash), [hash]);
}

/** Change the view before the next key is handled: the browser tells of the new hash only later. */
export function goTo(view: View): void {
  location.hash = writePlace({ view, settings: new URLSearchParams() });
  for (const notify of watchers) notify();
}

/** A link to a place of this page. */
export function linkTo(place: Place): string {
  return new URL(writePlace(place), location.href).href;
}

const watchers = new Set<() => void>();

function subscribe(callback: () => void): () => void {
  watchers.add(callback);
  window.addEventListener('hashchange', callback);
  return () => {
    watchers.delete(callback);
    window.removeEventListener('hashchange', callback);
  };
}
