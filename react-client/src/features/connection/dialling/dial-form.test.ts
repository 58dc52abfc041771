import { expect, test } from 'vitest';

import { orderOf, PLAIN_DIAL, readDialForm } from './dial-form';

test('a form becomes the headers in their order, and names its certificate', () => {
  const headers = 'X-Debug: a: b\n\n  Authorization :Bearer x \r\nX-Empty:';
  const form = { ...PLAIN_DIAL, origin: ' https://a.example', cookie: 'a=1', headers };
  expect(orderOf({ ...form, certificate: 'alice' })).toEqual({
    ok: true,
    order: {
      headers: [
        ['Origin', 'https://a.example'],
        ['Cookie', 'a=1'],
        ['X-Debug', 'a: b'],
        ['Authorization', 'Bearer x'],
        ['X-Empty', ''],
      ],
      compression: true,
      insecure: false,
      certificate: 'alice',
    },
  });
});

test.each(['no colon', ': no name', 'two words: x', 'ü: x'])('“%s” is no header', (line) => {
  const read = orderOf({ ...PLAIN_DIAL, headers: `X: y\n${line}` });
  expect(read).toEqual({ ok: false, problem: expect.stringContaining(line) as string });
});

test('a kept form comes back, and one that is none is a plain one', () => {
  const form = { ...PLAIN_DIAL, cookie: 'a=1', insecure: true };
  expect(readDialForm(JSON.stringify(form))).toEqual(form);
  for (const kept of [null, '', '{', '[]', 'null', '{"cookie":1,"insecure":"yes"}']) {
    expect(readDialForm(kept)).toEqual(PLAIN_DIAL);
  }
});
