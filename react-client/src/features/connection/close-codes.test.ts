import { describe, expect, it } from 'vitest';

import { explainCloseCode } from './close-codes';

describe('explainCloseCode', () => {
  it.each([
    [1000, 'Normal closure'],
    [1001, 'Going away'],
    [1009, 'Message too big'],
    [1011, 'Internal error'],
    [3000, 'Unauthorized'],
    [3999, 'Library code'],
    [4000, 'Private code'],
    [4999, 'Private code'],
    [1016, 'Reserved code'],
    [2999, 'Reserved code'],
  ])('%d is %s', (code, name) => {
    expect(explainCloseCode(code).name).toBe(name);
  });

  it('says of 1006 that browsers hide the cause', () => {
    expect(explainCloseCode(1006).meaning).toContain('Browsers hide the cause');
  });
});
