import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { formOfSettings, settingsOfPlan } from './plan-again';
import { commandOf } from './plan-command';
import { toBody } from './plan-form';

/** As a report has it of a run that asked for nothing but sockets. */
const PLAIN = {
  ...{ count: 10_000, url: 'ws://127.0.0.1:1/', connect_concurrency: 256, connect_rate: null },
  ...{ connect_timeout_s: 10, duration_s: 10, rate_per_conn: 1, rate: null, stages: [] },
  ...{ closed_loop: false, think_s: 0, messages: null, lifetime_s: null, binary: false },
  ...{ message: '{conn}-{seq}', message_file: null, size_bytes: null, verify: 'suffix' },
  ...{ expect: [], ignore: [], rooms: 1, arrivals: 'even', headers: [], origin: null },
  ...{ subprotocols: [], insecure: false, compression: false, source_ips: [], behave: [] },
  ...{ scenario: null, arrive: null, stop_timeout_s: 5, seed: 0, workers: 1, dask: null },
};

describe('the settings of a plan', () => {
  it('leave out what is so without them', () => {
    expect(settingsOfPlan(PLAIN)).toEqual({
      count: '10000',
      url: 'ws://127.0.0.1:1/',
      rate_per_conn: '1/s',
      duration: '10s',
    });
  });

  it.each([
    [{ rate: 0.5 }, [], '--duration=10s --rate=0.5/s'],
    [{ duration_s: null, closed_loop: true, think_s: 0.005 }, [], '--closed-loop --think=0.005s'],
    [
      { stages: [{ duration_s: 30, rate_per_s: 5000 }], duration_s: 30 },
      ['latency.p99>50ms'],
      "--stage=30s:5000/s '--fail-if=latency.p99>50ms'",
    ],
    [{ scenario: 'chat.py', arrive: 5 }, [], '--scenario=chat.py --arrive=5/s --duration=10s'],
    [
      { headers: [['Authorization', '***']], seed: 7, rate_per_conn: 0, verify: 'json:a=b' },
      [],
      "--verify=json:a=b --seed=7 --rate-per-conn=0/s --duration=10s '--header=Authorization: ***'",
    ],
  ])('are a command: %j', (more, failIf, flags) => {
    const command = commandOf(settingsOfPlan({ ...PLAIN, ...more }, failIf));
    const words = (text: string) => text.split(/ (?=--|'--)/).sort();
    expect(words(command)).toEqual(words(`python -m loadgen 10000 ws://127.0.0.1:1/ ${flags}`));
  });

  it('have no exponents, whatever they are', () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-9, max: 1e9, noNaN: true }), (rate) => {
        expect(settingsOfPlan({ ...PLAIN, rate }).rate).toMatch(/^\d+(\.\d+)?\/s$/);
      }),
    );
  });

  it.each([
    {},
    { rate: 500 },
    { rate_per_conn: 0 },
    { closed_loop: true, think_s: 1.5, messages: 3 },
    {
      stages: [
        { duration_s: 1, rate_per_s: 5 },
        { duration_s: 2, rate_per_s: 0 },
      ],
    },
    { verify: 'json:id=replyTo', message: '{"id": {seq}}' },
    { verify: 'regex:a:(b)', size_bytes: 1024, binary: true },
    { verify: 'fan-out', rooms: 20, expect: ['any'], ignore: ['json:type=tick', 'any'] },
    { arrivals: 'poisson', compression: true, lifetime_s: 60, seed: 3, workers: 2 },
    { scenario: 'chat.py', arrive: 5 },
  ])('come back out of the form that they fill: %j', (more) => {
    const settings = settingsOfPlan({ ...PLAIN, ...more }, ['messages.lost>0']);
    const { form, left } = formOfSettings(settings, 'ws://127.0.0.1:1/');
    expect(left).toEqual([]);
    expect(form.url).toBe('');
    const { url, ...others } = settings;
    expect(url).toBe('ws://127.0.0.1:1/');
    // The form says what verifies in any case; the generator takes it for what it is.
    const body = toBody(form);
    if (!('verify' in others) && !('scenario' in others)) {
      expect(body.verify).toBe('suffix');
      delete body.verify;
    }
    expect(body).toEqual(others);
  });

  it('that the form has no field for are named', () => {
    const plan = { ...PLAIN, headers: [['X', 'y']], origin: 'https://a.example' };
    const { left, form } = formOfSettings(settingsOfPlan(plan), null);
    expect(left.toSorted()).toEqual(['header', 'origin']);
    expect(form.url).toBe(PLAIN.url);
  });
});
