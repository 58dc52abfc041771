import { describe, expect, it } from 'vitest';

import { compilePattern, type PatternKind } from './automation';

describe('a pattern', () => {
  it.each<[PatternKind, string, string, boolean]>([
    ['any', '', 'whatever', true],
    ['contains', 'ping', '{"type":"ping"}', true],
    ['contains', 'ping', 'PING', false],
    ['equals', '2', '2', true],
    ['equals', '2', '2 5', false],
    ['regex', '^tick \\d+$', 'tick 12', true],
    ['regex', '^tick \\d+$', 'tock 12', false],
    ['json', 'type=ping', '{"type":"ping"}', true],
    ['json', 'params.0.id=7', '{"params":[{"id":7.0}]}', true],
    ['json', 'id="7"', '{"id":7}', false],
    ['json', 'ok=true', '{"ok":true}', true],
    ['json', 'url=a=b', '{"url":"a=b"}', true],
    ['json', 'type=ping', 'type=ping', false],
    ['json', '__proto__=x', '{}', false],
  ])('%s “%s” and %j: %s', (kind, text, message, fits) => {
    const compiled = compilePattern({ kind, text });
    expect(compiled.ok && compiled.fits(message)).toBe(fits);
  });

  it.each<[PatternKind, string, RegExp]>([
    ['contains', '', /Nothing is written there/],
    ['regex', '(', /^Not a regular expression: .*\.$/],
    ['json', 'type', /^PATH=VALUE is asked for/],
    ['json', 'a={"b":1}', /a text, a number, true or false/],
  ])('%s “%s” is refused in words', (kind, text, problem) => {
    const compiled = compilePattern({ kind, text });
    expect(compiled.ok ? '' : compiled.problem).toMatch(problem);
  });
});
