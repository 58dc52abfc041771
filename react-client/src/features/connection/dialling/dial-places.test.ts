import { expect, test } from 'vitest';

import { takeDialPlace } from './dial-places';

/** The browser's locks, as far as they are asked for here: Node has them from version 24 on. */
class Locks {
  readonly held = new Set<string>();

  async request(
    name: string,
    _: { ifAvailable: true },
    use: (lock: object | null) => Promise<void>,
  ): Promise<void> {
    if (this.held.has(name)) return use(null);
    this.held.add(name);
    await use({ name });
    this.held.delete(name);
  }
}

test('three dials have places, a fourth has none until one of them is over', async () => {
  const locks = new Locks();
  Object.defineProperty(globalThis, 'navigator', { value: { locks }, configurable: true });
  const overs = [1, 2, 3].map(() => new AbortController());
  for (const over of overs) expect(await takeDialPlace(over.signal)).toBe(true);
  expect(await takeDialPlace(new AbortController().signal)).toBe(false);
  overs[1]?.abort();
  while (locks.held.size === 3) await Promise.resolve();
  expect(await takeDialPlace(new AbortController().signal)).toBe(true);
});
