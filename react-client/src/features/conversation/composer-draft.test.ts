import { describe, expect, it } from 'vitest';

import { formatJson, parseDraft, readDraft } from './composer-draft';

describe('readDraft', () => {
  it.each([
    ['text', 'text', '{"a"', { ok: true, data: '{"a"' }],
    ['JSON as typed', 'json', '{"a":  1}', { ok: true, data: '{"a":  1}' }],
    ['bytes', 'binary', 'ff 00', { ok: true, data: new Uint8Array([255, 0]) }],
    ['half a byte not', 'binary', 'f', { ok: false }],
    ['JSON with what will be filled in', 'json', '{"n": {seq}, "t": {{t}}}', { ok: true }],
    ['other braces in JSON not', 'json', '{"n": {sequence}}', { ok: false }],
    ['nothing as nothing', 'json', '', { ok: true, data: '' }],
  ] as const)('takes %s', (_, mode, text, reading) => {
    expect(readDraft({ mode, text })).toMatchObject(reading);
  });

  it('says what is not JSON, in one line', () => {
    const read = readDraft({ mode: 'json', text: '{\n  "a": 1,\n}' });
    expect(read).toMatchObject({ ok: false });
    if (!read.ok) expect(read.problem).toMatch(/^Not JSON: [^\n]+\.$/);
  });
});

it('indents JSON and leaves anything else', () => {
  expect(formatJson('{"a":[1]}')).toBe('{\n  "a": [\n    1\n  ]\n}');
  expect(formatJson('{"a":')).toBe('{"a":');
});

it('starts from nothing where what was kept is none of ours', () => {
  for (const kept of [null, 'x', '[]', '{"mode":"voice","text":"a"}', '{"mode":"text"}']) {
    expect(parseDraft(kept)).toEqual({ mode: 'text', text: '' });
  }
  expect(parseDraft('{"mode":"json","text":"1"}')).toEqual({ mode: 'json', text: '1' });
});
