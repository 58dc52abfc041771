import { useEffect } from 'react';

import type { View } from '../lib/place';
import { remember, remembered } from '../lib/remembered';

/** What a key does anywhere in the page, unless one is typing. */
export interface Shortcut {
  readonly key: string;
  readonly does: string;
  readonly run: () => void;
}

const STORAGE_KEY = 'echo-trio.shortcuts';

/**
 * Keys without a modifier get in the way of speech input, which types what it hears: they can be
 * turned off (WCAG 2.1.4).
 */
export function areShortcutsOn(): boolean {
  return remembered(STORAGE_KEY) !== 'off';
}

export function turnShortcuts(on: boolean): void {
  remember(STORAGE_KEY, on ? 'on' : 'off');
}

export function useShortcuts(shortcuts: readonly Shortcut[]): void {
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      // A key held down is one press: else it flashes the themes, or opens all eight connections.
      if (event.repeat) return;
      if (isTyping(event.target) || isDialogOpen() || !areShortcutsOn()) return;
      const shortcut = shortcuts.find(({ key }) => key === event.key);
      if (shortcut === undefined) return;
      event.preventDefault();
      shortcut.run();
    };
    document.addEventListener('keydown', press);
    return () => {
      document.removeEventListener('keydown', press);
    };
  }, [shortcuts]);
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    target.closest(
      'input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]',
    ) !== null
  );
}

function isDialogOpen(): boolean {
  return document.querySelector('[role=dialog]') !== null;
}

/** The field that one most wants to type into, in each view. */
const FIRST_FIELD: Readonly<Record<View, string>> = {
  chat: '[data-active=true] textarea',
  server: '',
  load: 'input[name=count]',
};

export function focusField(view: View): void {
  const selector = FIRST_FIELD[view];
  if (selector !== '') document.querySelector<HTMLElement>(`main ${selector}`)?.focus();
}
