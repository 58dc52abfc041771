import { useLayoutEffect } from 'react';

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
  // Before the page is painted: a key that is pressed at the sight of it is not lost.
  useLayoutEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      // A key held down is one press: else it flashes the themes, or opens all eight connections.
      if (event.repeat) return;
      if (isTyping(event.target) || isDialogOpen() || !areShortcutsOn()) return;
      const shortcut = shortcuts.find(({ key }) => key === event.key);
      if (shortcut === undefined) return;
      event.preventDefault();
      stopWaiting();
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
  if (selector === '') return;
  whenThere(`main ${selector}`, (field) => {
    field.focus();
  });
}

let stopWaiting = () => {
  /* for nothing yet */
};

/**
 * Do something to an element at once, or as soon as it is there: a view that has just been asked
 * for may still be on its way. The next shortcut, click, Tab or Escape puts an end to the wait.
 */
export function whenThere(selector: string, act: (element: HTMLElement) => void): void {
  stopWaiting();
  const attempt = () => {
    const element = document.querySelector<HTMLElement>(selector);
    if (element === null) return false;
    act(element);
    return true;
  };
  if (attempt()) return;
  const waiting = new AbortController();
  const { signal } = waiting;
  const observer = new MutationObserver(() => {
    if (attempt()) stopWaiting();
  });
  observer.observe(document.body, { subtree: true, childList: true, attributes: true });
  stopWaiting = () => {
    observer.disconnect();
    waiting.abort();
  };
  const leave = ({ key }: KeyboardEvent) => {
    if (key === 'Tab' || key === 'Escape') stopWaiting();
  };
  document.addEventListener('keydown', leave, { signal });
  document.addEventListener('pointerdown', () => stopWaiting(), { signal, capture: true });
}
