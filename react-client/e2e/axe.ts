import type { Page } from '@playwright/test';
import type { RunOptions } from 'axe-core';
import axe from 'axe-core';

import { expect } from './fixtures';

export const ROOMY = { width: 1280, height: 800 };
export const PHONE = { width: 360, height: 740 };

/**
 * Lets axe look at the state that the page is in, in each of the windows and in both themes, of
 * which the dark one has other colours and is otherwise the same.
 */
export async function expectNoViolation(page: Page, windows = [ROOMY, PHONE]): Promise<void> {
  for (const window of windows) {
    await page.setViewportSize(window);
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme });
      // A colour on its way to another is neither.
      await page.evaluate(async () => {
        await new Promise((resolve) => requestAnimationFrame(resolve));
        const moving = document.getAnimations().filter((each) => each instanceof CSSTransition);
        await Promise.allSettled(moving.map(({ finished }) => finished));
      });
      // What is wrong of a page on its way from one window to the next passes.
      await expect(async () => {
        const violations = await violationsOf(page, colorScheme);
        expect(violations, `${colorScheme}, ${String(window.width)} px wide`).toEqual([]);
      }).toPass({ timeout: PATIENCE_MS });
    }
  }
  await page.emulateMedia({ colorScheme: null });
}

/** For a fault to pass; where there is none, nobody waits. */
const PATIENCE_MS = 30_000;

/** What axe finds. It comes into the page once, not for each look. */
export async function violationsOf(page: Page, colorScheme: 'light' | 'dark') {
  if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(axe.source);
  const options: RunOptions = { resultTypes: ['violations'] };
  if (colorScheme === 'dark') options.runOnly = { type: 'rule', values: ['color-contrast'] };
  return page.evaluate(async (asked) => {
    const { violations } = await (globalThis as unknown as { axe: typeof axe }).axe.run(
      document,
      asked,
    );
    return violations;
  }, options);
}

/** By how much one can scroll the page sideways comes to nothing. */
export async function expectNothingSideways(page: Page): Promise<void> {
  const sidewaysPx = () =>
    page.evaluate(() => {
      const { scrollWidth, clientWidth } = document.documentElement;
      return scrollWidth - clientWidth;
    });
  await expect.poll(sidewaysPx).toBe(0);
}
