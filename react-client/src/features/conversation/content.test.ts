import { describe, expect, it } from 'vitest';

import { contentOf, excerptAt } from './content';

describe('what a message carries', () => {
  it('is a tree where it is JSON with something in it, and is shown as it was written', () => {
    const content = contentOf('{"n": 9007199254740993, "n": 1.0}');
    expect(content.forms).toEqual(['tree', 'indented', 'text', 'hex']);
    expect(content.whole('indented')).toBe('{\n  "n": 9007199254740993,\n  "n": 1.0\n}');
    expect(content.whole('text')).toBe('{"n": 9007199254740993, "n": 1.0}');
  });

  it.each(['7', '"text"', 'hello', ''])('is text where it is not: %s', (text) => {
    const content = contentOf(text);
    expect(content.forms).toEqual(['text', 'hex']);
    expect(content.problem).toBeNull();
  });

  it('says why it is no JSON, though it looks like it, and where', () => {
    expect(contentOf('{"a": 1,\n "b": oops}').problem).toEqual({
      sentence: 'Not JSON: a value expected, “o” found, line 2, column 7.',
      excerpt: ' "b": oops}\n      ▲',
    });
  });

  it('shows the beginning of what is large, in each form', () => {
    const large = contentOf(`[${'"0123456789", '.repeat(80_000)}1]`);
    for (const form of large.forms) {
      const { text, isCut } = large.shown(form);
      expect(text.length).toBeLessThan(400_000);
      expect(isCut).toBe(form !== 'tree');
    }
    const tooLarge = contentOf(`[${'1,'.repeat(3_000_000)}1]`);
    expect(tooLarge.forms).toEqual(['text', 'hex']);
    expect(tooLarge.problem?.sentence).toContain('Longer than 4,194,304 characters');
  });
});

describe('an excerpt', () => {
  it.each([
    ['[x]', 1, '[x]\n ▲'],
    ['', 0, '\n▲'],
    [
      `[${'1,'.repeat(50)}x${',1'.repeat(50)}]`,
      101,
      `…${'1,'.repeat(12)}x${',1'.repeat(7)},\n${' '.repeat(25)}▲`,
    ],
    ['["a\u0301\tb"', 5, '["a··b"\n     ▲'],
  ])('of %j has its mark below the place', (text, at, excerpt) => {
    expect(excerptAt(text, at)).toBe(excerpt);
  });
});
