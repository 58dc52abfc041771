import { expect, it } from 'vitest';

import { stepped } from './load-changes';

it.each([
  [1, 1, 1.1],
  [1.1, -1, 1],
  [0.2, -1, 0.1],
  [0.1, -1, 0.1],
  // A rate that was typed may be below a step: lowering it does not raise it.
  [0.01, -1, 0.01],
  [0.01, 1, 0.11],
])('steps from %d of the plan by %d to %d', (factor, steps, wanted) => {
  expect(stepped(factor, steps)).toBe(wanted);
});
