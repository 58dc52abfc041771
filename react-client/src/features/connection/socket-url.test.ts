import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { isLoopback, readSocketUrl } from './socket-url';

describe('readSocketUrl', () => {
  it.each([
    ['ws://127.0.0.1:8765/', 'ws://127.0.0.1:8765/'],
    ['  ws://127.0.0.1:8765  ', 'ws://127.0.0.1:8765/'],
    ['WSS://Example.org/delay/200ms?x=1', 'wss://example.org/delay/200ms?x=1'],
    ['ws://[::1]:8765/plain', 'ws://[::1]:8765/plain'],
  ])('takes %j for %s', (typed, url) => {
    expect(readSocketUrl(typed, 'http:')).toEqual({ ok: true, url });
  });

  it.each([
    ['', 'Enter an address'],
    ['   ', 'Enter an address'],
    ['http://127.0.0.1:8765/', 'did you mean ws://127.0.0.1:8765/?'],
    ['HTTPS://example.org/', 'did you mean wss://example.org/?'],
    ['localhost:8765', 'did you mean ws://localhost:8765?'],
    ['127.0.0.1:8765/plain', 'did you mean ws://127.0.0.1:8765/plain?'],
    ['//127.0.0.1', 'did you mean ws://127.0.0.1?'],
    ['ftp://127.0.0.1/', 'not ftp://'],
    ['ws://', 'not a whole address'],
    ['ws://host:notaport/', 'not a whole address'],
    ['ws://127.0.0.1:70000/', 'There is no port 70000: they go up to 65535.'],
    ['wss://user:1@host:999999?x=1', 'There is no port 999999'],
    ['ws://[::1]:65536', 'There is no port 65536'],
    ['ws://[/path:70000', 'not a whole address'],
    ['ws://127.0.0.1/#top', '#fragment'],
    ['ws://127.0.0.1/a b', 'no spaces'],
  ])('finds fault with %j: %s', (typed, problem) => {
    const read = readSocketUrl(typed, 'http:');
    expect(read).toEqual({ ok: false, problem: expect.stringContaining(problem) as unknown });
  });

  it('refuses what a browser blocks as mixed content, and nothing else', () => {
    expect(readSocketUrl('ws://example.org/', 'https:')).toMatchObject({ ok: false });
    expect(readSocketUrl('wss://example.org/', 'https:')).toMatchObject({ ok: true });
    expect(readSocketUrl('ws://example.org/', 'http:')).toMatchObject({ ok: true });
    expect(readSocketUrl('ws://localhost:8765/', 'https:')).toMatchObject({ ok: true });
  });

  it('never throws, and what it lets through can be parsed', () => {
    const typed = fc.oneof(
      fc.string(),
      fc.webUrl(),
      fc.string().map((rest) => `ws://${rest}`),
    );
    fc.assert(
      fc.property(typed, (text) => {
        const read = readSocketUrl(text, 'http:');
        if (read.ok) expect(new URL(read.url).protocol).toMatch(/^wss?:$/);
        else expect(read.problem).not.toContain('\n');
      }),
    );
  });
});

describe('isLoopback', () => {
  it.each(['localhost', 'echo.localhost', '127.0.0.1', '127.8.9.10', '[::1]'])('is %s', (host) => {
    expect(isLoopback(host)).toBe(true);
  });

  it.each(['example.org', '128.0.0.1', '127.example.org', 'notlocalhost', '[::2]'])(
    'is not %s',
    (host) => {
      expect(isLoopback(host)).toBe(false);
    },
  );
});
