import { expect, it } from 'vitest';

import { readSubprotocols } from './subprotocols';
import { addressesUsed, forgetAddresses, rememberAddress } from './url-history';

it.each([
  ['', []],
  [' chat, mqtt  v2.json ', ['chat', 'mqtt', 'v2.json']],
])('reads %j', (typed, names) => {
  expect(readSubprotocols(typed)).toEqual({ ok: true, names });
});

it.each(['a/b', 'chat, chat', 'ça'])('refuses %j', (typed) => {
  expect(readSubprotocols(typed)).toMatchObject({ ok: false });
});

it('remembers the latest addresses, each once', () => {
  for (let port = 1; port <= 30; port++) rememberAddress(`ws://127.0.0.1:${String(port)}/`);
  rememberAddress('ws://127.0.0.1:20/');
  expect(addressesUsed()).toHaveLength(20);
  expect(addressesUsed().slice(0, 2)).toEqual(['ws://127.0.0.1:20/', 'ws://127.0.0.1:30/']);
  forgetAddresses();
  expect(addressesUsed()).toEqual([]);
});
