import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { commandOf } from './plan-command';
import { EMPTY_PLAN, fieldOf, fromSettings, type PlanForm, toBody, toSettings } from './plan-form';

const plan = (rest: Partial<PlanForm>): PlanForm => ({ ...EMPTY_PLAN, ...rest });

describe('toBody', () => {
  it('asks for what was typed, and leaves the rest to the generator', () => {
    expect(toBody(EMPTY_PLAN)).toEqual({
      count: '1000',
      rate_per_conn: '1/s',
      duration: '10s',
      verify: 'suffix',
    });
  });

  it.each<[Partial<PlanForm>, Record<string, unknown>]>([
    [{ drive: 'total', rate: '500/s' }, { rate: '500/s' }],
    [
      { drive: 'closed-loop', think: '5ms' },
      { closed_loop: true, think: '5ms' },
    ],
    [{ drive: 'idle' }, { rate_per_conn: '0/s' }],
    [{ drive: 'stages', stage: ' 10s:5/s\n\n5s:0/s ' }, { stage: ['10s:5/s', '5s:0/s'] }],
  ])('drives the messages in one way only: %j', (form, expected) => {
    const body = toBody(plan(form));
    for (const other of ['count', 'duration', 'verify']) Reflect.deleteProperty(body, other);
    expect(body).toEqual(expected);
  });

  it('takes no duration beside stages, which have their own', () => {
    expect(toBody(plan({ drive: 'stages' }))).not.toHaveProperty('duration');
  });

  it('sends thresholds and a message as they are meant', () => {
    const body = toBody(plan({ fail_if: 'latency.p99>50ms\nmessages.lost>0', message: ' hi ' }));
    expect(body).toMatchObject({
      fail_if: ['latency.p99>50ms', 'messages.lost>0'],
      message: ' hi ',
    });
  });
});

describe('a plan for a server that does not echo', () => {
  it.each<[Partial<PlanForm>, Record<string, unknown>]>([
    [{ verify: 'json', json_path: ' id=replyTo ' }, { verify: 'json:id=replyTo' }],
    [{ verify: 'regex', pattern: ' #(\\d+)' }, { verify: 'regex: #(\\d+)' }],
    [{ verify: 'turn', rooms: '5', pattern: 'x' }, { verify: 'turn' }],
    [
      { verify: 'fan-out', rooms: '20' },
      { verify: 'fan-out', rooms: '20' },
    ],
    [
      { expect: 'json:type=hello\nany', ignore: 'json:type=tick', arrivals: 'poisson' },
      { expect: ['json:type=hello', 'any'], ignore: ['json:type=tick'], arrivals: 'poisson' },
    ],
  ])('asks for it: %j', (form, expected) => {
    const body = toBody(plan(form));
    expect(body).toMatchObject(expected);
    for (const other of ['json_path', 'pattern']) expect(body).not.toHaveProperty(other);
    if (form.verify === 'turn') expect(body).not.toHaveProperty('rooms');
  });

  it('leaves to a scenario what it says itself', () => {
    const body = toBody(plan({ scenario: 'chat.py', arrive: '5/s', verify: 'json', message: 'm' }));
    expect(body).toEqual({ count: '1000', duration: '10s', scenario: 'chat.py', arrive: '5/s' });
  });

  it.each([
    [{}, 'python -m loadgen 1000 ws://h:1/ --rate-per-conn=1/s --duration=10s --verify=suffix'],
    [
      { verify: 'json', json_path: 'id', message: "it's", duration: '' },
      'python -m loadgen 1000 ws://h:1/ --rate-per-conn=1/s ' +
        String.raw`'--message=it'\''s' --verify=json:id`,
    ],
    [
      { ignore: 'any\n--x', drive: 'idle', verify: 'off', url: 'ws://h/{room}' },
      "python -m loadgen 1000 'ws://h/{room}' --duration=10s --verify=off --ignore=any " +
        '--ignore=--x --rate-per-conn=0/s',
    ],
  ] as [Partial<PlanForm>, string][])('is a command for a terminal, too: %j', (form, command) => {
    expect(commandOf(toBody(plan(form)), 'ws://h:1/')).toBe(command);
  });
});

describe('fieldOf', () => {
  it.each([
    ['rate_per_conn', 'rate_per_conn'],
    ['--rate-per-conn', 'rate_per_conn'],
    ['COUNT', 'count'],
    ['duration_s', 'duration'],
    ['closed_loop', 'drive'],
    ['source_ip', null],
    [null, null],
  ])('%j is shown at %j', (setting, field) => {
    expect(fieldOf(setting)).toBe(field);
  });
});

describe('settings of a link', () => {
  it('hold what differs from an empty form', () => {
    const settings = toSettings(plan({ count: '10k', binary: true }));
    expect(Object.fromEntries(settings)).toEqual({ count: '10k', binary: 'true' });
  });

  it('pass over what no form has', () => {
    const settings = new URLSearchParams('drive=steam&verify=never&colour=red&count=7');
    expect(fromSettings(settings)).toEqual(plan({ count: '7' }));
  });

  it('bring back any form', () => {
    const anyForm = fc.record({
      count: fc.string({ maxLength: 8 }),
      drive: fc.constantFrom('per-socket', 'total', 'stages', 'closed-loop', 'idle'),
      message: fc.string({ maxLength: 20 }),
      binary: fc.boolean(),
      fail_if: fc.string({ maxLength: 20 }),
    });
    fc.assert(
      fc.property(anyForm, (rest) => {
        const form = plan(rest);
        const link = new URLSearchParams(toSettings(form).toString());
        expect(fromSettings(link)).toEqual(form);
      }),
      { numRuns: 30 },
    );
  });
});
