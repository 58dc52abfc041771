import { expect, it, vi } from 'vitest';

import { afterPress } from './after-press';

it('waits until what is pressed has been let go and its click was told', async () => {
  const told: string[] = [];
  const press = (type: string) => document.body.dispatchEvent(new Event(type, { bubbles: true }));
  document.body.addEventListener('click', () => told.push('click'));
  afterPress(() => told.push('at once'));
  press('pointerdown');
  afterPress(() => told.push('afterwards'));
  press('pointerup');
  press('click');
  expect(told).toEqual(['at once', 'click']);
  await vi.waitFor(() => expect(told).toHaveLength(3));
  press('pointerdown');
  afterPress(() => told.push('after a swipe'));
  press('pointercancel');
  await vi.waitFor(() => expect(told).toHaveLength(4));
  expect(told).toEqual(['at once', 'click', 'afterwards', 'after a swipe']);
});
