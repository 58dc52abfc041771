import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { fillVariables, fillWords, isTemplate, isVariableName, variablesIn } from './templates';

const filled = (text: string, variables: Record<string, string> = {}, conn = 0) =>
  fillVariables(text, { variables: new Map(Object.entries(variables)), conn });

/** What goes over the wire. */
const sent = (text: string, variables: Record<string, string> = {}) => {
  const template = filled(text, variables);
  return template.ok ? fillWords(template.text, 7, 1_800_000_000_000) : template.problem;
};

describe('a template', () => {
  it.each([
    ['a variable', 'Bearer {{token}}', 'Bearer abc'],
    ['spaces within the braces', '{{ token }}', 'abc'],
    ['a variable that names another', '{{header}}', 'Bearer abc'],
    ['a word in JSON that ends in two braces', '{"a":{"b":{seq}}}', '{"a":{"b":7}}'],
    ['the number of the connection', '{conn}-{seq}', '0-7'],
    ['the time', '{now}', '1800000000000'],
    ['the only room', '/room/{room}', '/room/0'],
    ['a word in double braces, as it is', '{{seq}} and {{now}}', '{seq} and {now}'],
    ['JSON and other braces, as they are', '{"a":{"b":{}}} {{}} {x} {{1}}', undefined],
    ['a value that holds a word, as it is', '{{odd}}', '{now} {seq}'],
    ['a value that holds an escaped word', '{{escaped}}', '{seq}'],
  ])('fills in %s', (_, text, wanted = text) => {
    const variables = { token: 'abc', header: 'Bearer {{token}}', odd: '{now} {seq}' };
    expect(sent(text, { ...variables, escaped: '{{seq}}' })).toBe(wanted);
  });

  it('has a variable rather than the escaped word, where there is one', () => {
    expect(sent('/{room}/{{room}}', { room: 'blue' })).toBe('/0/blue');
    expect(sent('{{a}}', { room: 'blue', a: '{{room}}' })).toBe('blue');
  });

  it('is as random as the generator’s: 32 bits', () => {
    expect(sent('{random}')).toMatch(/^\d{1,10}$/);
    expect(sent('{random}')).not.toBe(sent('{random} '));
  });

  it.each([
    ['{{token}}', {}, '{{token}} is no variable of the chosen environment.'],
    ['{{a}} {{b}} {{a}}', {}, '{{a}}, {{b}} are no variables of the chosen environment.'],
    ['{{a}}', { a: '{{b}}' }, '{{b}} is no variable of the chosen environment.'],
    ['{{$guid}}', {}, '{{$guid}} is no variable of the chosen environment.'],
    ['{{a}}', { a: '{{b}}', b: '{{a}}' }, '{{a}} names itself: a → b → a.'],
    ['{{constructor}}', {}, '{{constructor}} is no variable of the chosen environment.'],
    ['{{__proto__}}', {}, '{{__proto__}} is no variable of the chosen environment.'],
  ])('says why %s cannot be filled in', (text, variables, problem) => {
    expect(filled(text, variables)).toEqual({ ok: false, problem });
  });

  it('is refused before values that double each other fill the memory', () => {
    const variables = Object.fromEntries(
      Array.from({ length: 100 }, (_, n) => [
        `v${String(n)}`,
        n === 0 ? 'lol' : `{{v${String(n - 1)}}}`.repeat(10),
      ]),
    );
    expect(filled('{{v99}}', variables)).toEqual({
      ok: false,
      problem: 'The variables’ values make this too long.',
    });
    // Nor does it take its time where all of it comes to nothing.
    expect(filled('{{v99}}', { ...variables, v0: '' })).toEqual({ ok: true, text: '' });
  });

  it('without braces is the text that it is, and a value comes out as it went in', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        if (!isTemplate(text)) expect(sent(text)).toBe(text);
        if (!text.includes('{{')) expect(sent('{{value}}', { value: text })).toBe(text);
      }),
    );
  });
});

describe('the names of variables', () => {
  it('are listed, each once, and no word of the generator is one', () => {
    expect(variablesIn('{{a}} {seq} {{b.c}} {{seq}} {{a}} {d}')).toEqual(['a', 'b.c']);
    expect(['token', '_a', 'a-b.c', 'room'].every(isVariableName)).toBe(true);
    expect(['1a', 'a b', '', '$guid'].some(isVariableName)).toBe(false);
  });
});
