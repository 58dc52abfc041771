import { describe, expect, it } from 'vitest';

import { countTasks, readTaskTree } from './nursery-tree';

const leaf = (name: string, count = 1) => ({ name, count, children: [] });

describe('readTaskTree', () => {
  it('shows the nurseries of a task as one', () => {
    const tree = readTaskTree({
      name: '<init>',
      count: 1,
      nurseries: [{ children: [leaf('serve')] }, { children: [leaf('session', 10_000)] }],
    });
    expect(tree).toEqual({
      name: '<init>',
      count: 1,
      children: [leaf('serve'), leaf('session', 10_000)],
    });
  });

  it.each([null, 7, {}, { count: 1 }])('%j is no tree', (value) => {
    expect(readTaskTree(value)).toBeNull();
  });
});

describe('countTasks', () => {
  it('counts every task of a folded node', () => {
    const pair = { name: 'session', count: 100, children: [leaf('reader')] };
    expect(countTasks({ name: 'main', count: 1, children: [pair, leaf('clock')] })).toBe(202);
  });
});
