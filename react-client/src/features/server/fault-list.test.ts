import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  addFault,
  type Fault,
  type FaultKind,
  type FaultParameter,
  moveFault,
  parseFaults,
  problemOf,
  readFaultKinds,
  writeFaults,
} from './fault-list';

const parameter = (name: string, kind: string, low: number | null = null): FaultParameter => ({
  ...{ name, kind, allowed: 'what may be', example: '3' },
  ...{ low, high: low === null ? null : 3600 },
});
const KINDS: readonly FaultKind[] = [
  { name: 'delay', text: 'late', up: true, parameters: [parameter('duration', 'duration', 0)] },
  { name: 'silent', text: 'never', up: true, parameters: [] },
  {
    ...{ name: 'stall', text: 'freezes', up: true },
    parameters: [parameter('every', 'count', 1), parameter('duration', 'duration', 0)],
  },
  { name: 'close', text: 'closes', up: true, parameters: [parameter('code', 'text')] },
  { name: 'status', text: 'refuses', up: false, parameters: [parameter('http', 'status', 200)] },
];

const fault = fc.constantFrom(...KINDS).chain(({ name, parameters }) =>
  fc.record({
    way: fc.constantFrom('down' as const, 'up' as const),
    name: fc.constant(name),
    values: fc.tuple(...parameters.map(() => fc.string({ unit: 'grapheme', minLength: 1 }))),
  }),
);

describe('a list of faults', () => {
  it('is the same once it was written and read, whatever its values are', () => {
    fc.assert(
      fc.property(fc.array(fault, { maxLength: 10 }), (faults) => {
        const rows = faults.map((one, at) => ({ ...one, key: at + 1 }));
        expect(parseFaults(writeFaults(rows), KINDS)).toEqual(rows);
      }),
    );
  });

  it('is written as the server reads it', () => {
    const rows = parseFaults('~delay/200ms/~up-stall/3/1s/~close/4000:go%20a%2Fway', KINDS) ?? [];
    expect(rows.map(({ way, name, values }) => [way, name, ...values])).toEqual([
      ['down', 'delay', '200ms'],
      ['up', 'stall', '3', '1s'],
      ['down', 'close', '4000:go a/way'],
    ]);
    expect(writeFaults(rows)).toBe('~delay/200ms/~up-stall/3/1s/~close/4000:go%20a%2Fway');
  });

  it.each(['~nothing', '~stall/3', '~delay/1s/chat', 'chat', '~', '~up-'])(
    'is not guessed at where the server has something else: %s',
    (text) => {
      expect(parseFaults(text, KINDS)).toBeNull();
    },
  );

  it('moves one as far as there are places, and no other', () => {
    fc.assert(
      fc.property(fc.nat(4), fc.integer({ min: -2, max: 2 }), (at, by) => {
        const rows = ['a', 'b', 'c', 'd', 'e'].map((name, index) => ({
          ...{ key: index + 1, way: 'down' as const, name, values: [] },
        }));
        const moved = moveFault(rows, at + 1, by);
        const to = at + by;
        const others = (all: readonly Fault[]) => all.filter(({ key }) => key !== at + 1);
        expect(others(moved)).toEqual(others(rows));
        expect(moved.findIndex(({ key }) => key === at + 1)).toBe(to < 0 || to > 4 ? at : to);
      }),
    );
  });

  it('gives a new one a row of its own, with the example of each value', () => {
    const rows = parseFaults('~silent/~silent', KINDS) ?? [];
    const added = KINDS[2] === undefined ? [] : addFault(rows.slice(1), KINDS[2]);
    expect(added.map(({ key }) => key)).toEqual([2, 3]);
    expect(added.at(-1)).toMatchObject({ name: 'stall', way: 'down', values: ['3', '3'] });
  });
});

describe('a value', () => {
  it.each([
    ['duration', 0, '200ms', true],
    ['duration', 0, '1h', true],
    ['duration', 0, '2h', false],
    ['duration', 0, '200', false],
    ['count', 1, '3', true],
    ['count', 1, '0', false],
    ['count', 1, '1.5', false],
    ['status', 200, '503', true],
    ['status', 200, '99', false],
    ['text', null, '4000:why', true],
    ['text', null, '', false],
    ['of the future', null, 'whatever', true],
  ])('of the kind %s from %j on may be %j: %j', (kind, low, value, isGood) => {
    const said = isGood ? null : 'What may be.';
    expect(problemOf(value, parameter('p', kind, low))).toBe(said);
  });
});

it('reads what a server describes, and nothing else', () => {
  const described = { faults: KINDS, max_faults: 10 };
  expect(readFaultKinds(JSON.parse(JSON.stringify(described)))).toEqual({ kinds: KINDS, most: 10 });
  for (const other of [null, [], {}, { faults: 'all' }, { faults: [] }, { faults: [{}] }]) {
    expect(readFaultKinds(other)).toBeNull();
  }
});
