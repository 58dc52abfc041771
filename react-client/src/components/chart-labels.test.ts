import { describe, expect, it } from 'vitest';

import { stacked, withoutCollisions } from './chart-labels';

describe('labels of a chart', () => {
  it('on its axis do not run into each other; those of the rarest stay', () => {
    const labels = ['0 %', '50 %', '90 %', '99 %', '99.9 %'];
    const width = (label: string) => label.length * 6;
    expect(withoutCollisions(labels, [0, 100, 200, 300, 400], width)).toEqual(labels);
    expect(withoutCollisions(labels, [0, 30, 60, 90, 120], width)).toEqual([
      '0 %',
      '50 %',
      '90 %',
      '',
      '99.9 %',
    ]);
  });

  it('at lines that are close together stand one under the other', () => {
    expect(stacked([100, 20, 98, 99], 15)).toEqual([128, 20, 98, 113]);
    expect(stacked([20, 80], 15)).toEqual([20, 80]);
  });
});
