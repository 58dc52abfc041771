import type { Page } from '@playwright/test';

import { expect } from './fixtures';
import { composerFaults, layoutFaults, WINDOWS } from './layout-audit';

/** Where pictures of every state go (`make screenshots`); nowhere unless asked for. */
export const { SHOTS } = process.env;

/** Looks at the state that the page is in, in every window. */
export async function expectOrder(page: Page, state: string): Promise<void> {
  for (const window of WINDOWS) {
    await page.setViewportSize(window);
    // Charts are drawn anew a frame after they have heard of it.
    await page.evaluate(
      () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
    );
    if (SHOTS !== undefined) await takePictures(page, `${state}-${sizeOf(window)}`);
    const faults = await lastingFaults(page, state);
    expect.soft(faults, `${state}, ${sizeOf(window)}`).toEqual([]);
  }
  await page.setViewportSize(ROOMY);
}

/** For a fault to pass; where there is none, nobody waits. */
const PATIENCE_MS = 10_000;
const LOOK_EVERY_MS = 200;

/**
 * Those that are there at every look: without those of the moment in which rows of a moving log are
 * measured, or in which a busy machine has drawn a part of the new window alone.
 */
export async function lastingFaults(page: Page, state: string): Promise<string[]> {
  const look = async () => [
    ...(await layoutFaults(page)),
    ...(state.startsWith('chat-') ? await composerFaults(page) : []),
  ];
  let faults = await look();
  for (let looks = 0; looks < PATIENCE_MS / LOOK_EVERY_MS && faults.length > 0; looks++) {
    await page.waitForTimeout(LOOK_EVERY_MS);
    const again = await look();
    faults = faults.filter((fault) => again.includes(fault));
  }
  return faults;
}

/** In both schemes, and in the colours of a high-contrast theme. */
export async function takePictures(page: Page, name: string): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme });
    const path = `${SHOTS ?? ''}/${name}-${colorScheme}.png`;
    await page.screenshot({ path, fullPage: true, animations: 'disabled' });
  }
  await page.emulateMedia({ colorScheme: 'light', forcedColors: 'active' });
  await page.screenshot({ path: `${SHOTS ?? ''}/${name}-forced.png`, fullPage: true });
  await page.emulateMedia({ colorScheme: 'light', forcedColors: 'none' });
}

/** Where there is room for whatever a test does next. */
export const ROOMY = { width: 1280, height: 800 };

/** Of a window, for the name of a picture. */
export function sizeOf({ width, height }: { width: number; height: number }): string {
  return `${String(width)}x${String(height)}`;
}
