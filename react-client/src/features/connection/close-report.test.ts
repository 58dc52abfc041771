import { describe, expect, it } from 'vitest';

import { type CloseReport, explainClose, whoClosed } from './close-report';

describe('whoClosed', () => {
  it.each([
    { code: 1001, sentCode: undefined, by: 'server', why: 'a Close frame came unasked' },
    { code: 1005, sentCode: undefined, by: 'server', why: 'an empty Close frame came unasked' },
    { code: 1006, sentCode: undefined, by: 'unknown', why: 'no Close frame came' },
    { code: 1000, sentCode: 1000, by: 'page', why: 'ours was answered' },
    { code: 1005, sentCode: 1000, by: 'page', why: 'ours was answered by an empty one' },
    { code: 1006, sentCode: 1000, by: 'page', why: 'ours was not answered' },
    { code: 1001, sentCode: 1000, by: 'server', why: 'the server’s own crossed with ours' },
  ])('is $by when $why', ({ code, sentCode, by }) => {
    expect(whoClosed(code, sentCode)).toBe(by);
  });
});

describe('explainClose', () => {
  const report = { url: 'ws://127.0.0.1/', reason: '', hadOpened: true };

  it.each([
    [{ code: 1001, closedBy: 'server' }, 'The server closed the connection'],
    [{ code: 1000, closedBy: 'page' }, 'You closed the connection'],
    [{ code: 1006, closedBy: 'page' }, 'You closed the connection'],
    [{ code: 1006, closedBy: 'unknown' }, 'The connection broke'],
    [{ code: 1006, closedBy: 'unknown', hadOpened: false }, 'No connection'],
    [{ code: 1006, closedBy: 'page', hadOpened: false }, 'You cancelled the attempt'],
  ] as const)('says of %j: %s', (details, headline) => {
    expect(explainClose({ ...report, ...details }).headline).toBe(headline);
  });

  it('tells a close without an answer from a proper one', () => {
    const explained = explainClose({ ...report, code: 1006, closedBy: 'page' });
    expect(explained.meaning).toContain('did not answer the Close frame');
  });

  it('says that browsers hide why a connection broke or never opened', () => {
    for (const hadOpened of [true, false]) {
      const explained = explainClose({ ...report, code: 1006, closedBy: 'unknown', hadOpened });
      expect(explained.meaning).toContain('Browsers hide the cause');
    }
  });
});

describe('a path that refuses on purpose', () => {
  const refused = (url: string): CloseReport => ({
    url,
    code: 1006,
    reason: '',
    closedBy: 'unknown',
    hadOpened: false,
  });
  it.each(['ws://127.0.0.1:8765/status/503', 'ws://127.0.0.1:8765/~status/503/chat'])(
    'is told from a server that is not there: %s',
    (url) => {
      const { meaning, advice } = explainClose(refused(url), true);
      expect(meaning).toContain('HTTP 503');
      expect(advice).toBe(`To see the status: python -m loadgen 1 ${url}`);
    },
  );
  it('is not supposed of a server that nobody knows, nor of another path', () => {
    expect(explainClose(refused('ws://example.org/status/503')).meaning).toContain(
      'Nothing listens',
    );
    expect(explainClose(refused('ws://127.0.0.1:8765/'), true).meaning).toContain(
      'Nothing listens',
    );
  });
});
