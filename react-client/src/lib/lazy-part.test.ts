import { beforeEach, expect, test, vi } from 'vitest';

import type * as LazyPart from './lazy-part';

function Part() {
  return null;
}

let lazyParts: typeof LazyPart;
beforeEach(async () => {
  vi.resetModules();
  performance.clearMarks();
  lazyParts = await import('./lazy-part');
});

const areAllHere = () => performance.getEntriesByName(lazyParts.PARTS_FETCHED).length > 0;

test('a part that only a fetched part names is fetched, too', async () => {
  const inner = vi.fn(() => Promise.resolve({ default: Part }));
  lazyParts.lazyPart(() => {
    lazyParts.lazyPart(inner);
    return Promise.resolve({ default: Part });
  });
  await lazyParts.fetchLazyParts();
  expect(inner).toHaveBeenCalledOnce();
  expect(areAllHere()).toBe(true);
});

test('a part that does not come keeps none of the others away, and all are not said to be here', async () => {
  const other = vi.fn(() => Promise.resolve({ default: Part }));
  lazyParts.lazyPart(() => Promise.reject(new Error('the server has gone')));
  lazyParts.lazyPart(() => {
    lazyParts.lazyPart(other);
    return Promise.resolve({ default: Part });
  });
  await lazyParts.fetchLazyParts();
  expect(other).toHaveBeenCalledOnce();
  expect(areAllHere()).toBe(false);
});

test('a browser that saves data is known by what it says, and one that says nothing does not', () => {
  vi.stubGlobal('navigator', {});
  expect(lazyParts.savesData()).toBe(false);
  vi.stubGlobal('navigator', { connection: { saveData: false } });
  expect(lazyParts.savesData()).toBe(false);
  vi.stubGlobal('navigator', { connection: { saveData: true } });
  expect(lazyParts.savesData()).toBe(true);
  vi.unstubAllGlobals();
});
