import { describe, expect, it } from 'vitest';

import { Conversation } from './conversation';
import { compileFilter, FilteredLog, type LogFilter, NO_FILTER } from './log-filter';
import { binaryPayload, textPayload } from './payload';

function said() {
  const conversation = new Conversation<string>();
  conversation.recordNotice('opened', 0);
  conversation.recordSent(textPayload('Hello'), 1);
  conversation.recordReceived(textPayload('Hello 42'), 2);
  conversation.recordSent(textPayload('{"a": 1}'), 3);
  conversation.recordReceived(textPayload('{"a": 1} 7'), 4);
  conversation.recordSent(binaryPayload(new Uint8Array([0xde, 0xad])), 5);
  return conversation;
}

/** The identifiers of what passes. */
function passing(filter: Partial<LogFilter>) {
  const compiled = compileFilter({ ...NO_FILTER, ...filter });
  if (!compiled.ok) return compiled.problem;
  const log = new FilteredLog<string>(compiled.passes);
  return log.apply(said().snapshot().entries).map(({ id }) => id);
}

describe('a filter', () => {
  it.each([
    ['nothing', {}, [0, 1, 2, 3, 4, 5]],
    ['text, whatever its case', { text: 'hELLO' }, [0, 1, 2]],
    ['a regular expression', { text: '^hello \\d+$', isRegex: true }, [0, 2]],
    ['what was sent', { direction: 'sent' }, [0, 1, 3, 5]],
    ['JSON, be it followed by a suffix', { type: 'json' }, [0, 3, 4]],
    ['binary', { type: 'binary' }, [0, 5]],
    ['bytes in hex', { text: 'de ad' }, [0, 5]],
    ['a value, be it followed by a suffix', { value: '$.a == 1' }, [0, 3, 4]],
    ['nothing where no message has such a value', { value: 'a.b' }, [0]],
    ['several at once', { text: 'hello', direction: 'received', type: 'text' }, [0, 2]],
  ] as const)('finds %s, and always keeps what happened to the connection', (_, filter, ids) => {
    expect(passing(filter)).toEqual(ids);
  });

  it('says what is wrong with an expression', () => {
    expect(passing({ text: '(', isRegex: true })).toMatch(/^Not a regular expression: .+group\.$/);
    expect(passing({ text: '(' })).toEqual([0]);
  });

  it('says what is wrong with a path', () => {
    expect(passing({ value: 'a[' })).toBe(
      'Character 2: a path or a comparison expected, “[” is none.',
    );
  });

  it('that has too little time looks at all of it in pieces, and says how much is left', () => {
    const compiled = compileFilter({ ...NO_FILTER, value: 'a' });
    const log = new FilteredLog<string>(compiled.ok ? compiled.passes : null);
    const { entries } = said().snapshot();
    const left: number[] = [];
    let found: readonly number[] = [];
    do {
      found = log.apply(entries, () => true).map(({ id }) => id);
      left.push(log.pending);
    } while (log.pending > 0);
    expect(left).toEqual([5, 4, 3, 2, 1, 0]);
    expect(found).toEqual([0, 3, 4]);
  });

  it('follows a log that grows at one end and drops at the other', () => {
    const compiled = compileFilter({ ...NO_FILTER, direction: 'received' });
    const log = new FilteredLog<string>(compiled.ok ? compiled.passes : null);
    const conversation = new Conversation<string>({ entries: 7, characters: 1_000 });
    for (let round = 0; round < 30; round++) {
      conversation.recordSent(textPayload(`m${String(round)}`), round);
      conversation.recordReceived(textPayload(`m${String(round)} 1`), round);
      const { entries } = conversation.snapshot();
      expect(log.apply(entries)).toEqual(entries.filter(({ kind }) => kind === 'received'));
    }
  });
});
