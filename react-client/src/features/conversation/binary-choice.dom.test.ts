import { expect, test } from 'vitest';

import { choiceOf, keepChoice, NO_CHOICE } from './binary-choice';

test('a choice is remembered for an address, whatever its query', () => {
  const choice = { ...NO_CHOICE, decoder: 'msgpack', column: '$.id' } as const;
  keepChoice('ws://one.example/feed?token=secret', choice);
  keepChoice('ws://two.example/', { ...NO_CHOICE, decoder: 'utf-8' });
  expect(choiceOf('ws://one.example/feed?token=other')).toEqual(choice);
  expect(choiceOf('ws://one.example/')).toEqual(NO_CHOICE);
  expect(JSON.stringify(localStorage)).not.toContain('secret');
});

test('the choices of long ago make room for others', () => {
  for (let server = 0; server < 60; server++) {
    keepChoice(`ws://server-${String(server)}/`, { ...NO_CHOICE, column: 'id' });
  }
  expect(choiceOf('ws://server-9/')).toEqual(NO_CHOICE);
  expect(choiceOf('ws://server-10/').column).toBe('id');
});

test.each(['{', '7', '[7, ["ws://a/"], ["ws://a/", null]]'])(
  'what is not ours is passed over: %s',
  (kept) => {
    localStorage.setItem('echo-trio.readings', kept);
    expect(choiceOf('ws://a/')).toEqual(NO_CHOICE);
  },
);

test('a decoder of another version of the page is hex', () => {
  localStorage.setItem('echo-trio.readings', '[["ws://a/", {"decoder": "cbor", "column": "id"}]]');
  expect(choiceOf('ws://a/')).toEqual({ ...NO_CHOICE, column: 'id' });
});
