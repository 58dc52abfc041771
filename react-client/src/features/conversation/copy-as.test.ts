import { expect, it } from 'vitest';

import { recipesFor } from './copy-as';
import { binaryPayload, textPayload } from './payload';

const URL_ = 'ws://127.0.0.1:8765/';
const texts = (payload: Parameters<typeof recipesFor>[0], subprotocols: readonly string[] = []) =>
  Object.fromEntries(
    recipesFor(payload, { url: URL_, subprotocols }).map(({ name, text }) => [name, text]),
  );

it('quotes for a shell whatever was said', () => {
  expect(texts(textPayload(`it's $HOME`))).toMatchObject({
    wscat: `wscat -c ${URL_} -w 2 -x 'it'\\''s $HOME'`,
    websocat: `printf '%s\\n' 'it'\\''s $HOME' | websocat -n1 ${URL_}`,
  });
});

it('keeps the lines of a message together, and offers subprotocols', () => {
  const { websocat, wscat, Trio } = texts(textPayload('a\nb'), ['chat']);
  expect(websocat).toBe(`printf '%s\\0' 'a\nb' | websocat -n1 -0 --protocol chat ${URL_}`);
  expect(wscat).toContain('-s chat');
  expect(Trio).toContain('subprotocols=["chat"]');
});

it('sends bytes as bytes, where the tool can', () => {
  const { websocat, wscat, Trio } = texts(binaryPayload(new Uint8Array([0, 255])));
  expect(wscat).toBeNull();
  expect(websocat).toBe(`printf '\\000\\377' | websocat -n1 -b ${URL_}`);
  expect(Trio).toContain('bytes.fromhex("00ff")');
});
