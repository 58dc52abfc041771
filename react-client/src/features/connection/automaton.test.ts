import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { type Automation, nameOfSender } from '../../lib/automation';
import { Automaton, LOOP_GUARDS } from './automaton';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const NOTHING: Automation = { onOpen: [], heartbeat: null, rules: [] };
const whenAny = { kind: 'any', text: '' } as const;

function run(automation: Partial<Automation>, onSent: (text: string) => void = () => undefined) {
  const sent: string[] = [];
  const stopped: unknown[] = [];
  const automaton = new Automaton(
    { ...NOTHING, ...automation },
    {
      now: () => performance.now(),
      send: (data, by) => {
        sent.push(`${nameOfSender(by)}: ${String(data)}`);
        onSent(String(data));
        return true;
      },
      onRuleStopped: (rule, replies) => stopped.push({ rule, replies }),
    },
  );
  return { automaton, sent, stopped };
}

describe('Automaton', () => {
  it('says first what is to be said on opening, in its order and each with its number', () => {
    const { automaton, sent } = run({ onOpen: ['login {seq}', new Uint8Array([1, 2]), '{seq}'] });
    expect(sent).toEqual([]);
    automaton.opened();
    expect(sent).toEqual(['on open: login 0', 'on open: 1,2', 'on open: 2']);
  });

  it('beats so long apart, until the connection has closed', () => {
    const { automaton, sent } = run({ heartbeat: { data: 'hb {seq}', intervalMs: 30_000 } });
    automaton.opened();
    vi.advanceTimersByTime(29_999);
    expect(sent).toEqual([]);
    vi.advanceTimersByTime(60_001);
    expect(sent).toEqual(['heartbeat: hb 0', 'heartbeat: hb 1', 'heartbeat: hb 2']);
    automaton.closed();
    vi.advanceTimersByTime(300_000);
    expect(sent).toHaveLength(3);
  });

  it('makes up for no beat that a sleeping machine has missed', () => {
    let asleepMs = 0;
    const sent: unknown[] = [];
    const automaton = new Automaton(
      { ...NOTHING, heartbeat: { data: 'hb', intervalMs: 10_000 } },
      {
        now: () => performance.now() + asleepMs,
        send: (data) => sent.push(data) > 0,
        onRuleStopped: () => undefined,
      },
    );
    automaton.opened();
    vi.advanceTimersByTime(9_000);
    asleepMs = 600_000;
    vi.advanceTimersByTime(1_000);
    expect(sent).toHaveLength(1);
    vi.advanceTimersByTime(10_000);
    expect(sent).toHaveLength(2);
  });

  it('answers by every rule that fits, and only text', () => {
    const { automaton, sent } = run({
      rules: [
        { when: { kind: 'contains', text: 'ping' }, send: 'pong' },
        { when: { kind: 'regex', text: '(' }, send: 'never' },
        { when: { kind: 'json', text: 'type=ping' }, send: '{"type":"pong","n":{seq}}' },
      ],
    });
    automaton.received('{"type":"ping"}');
    automaton.received('hello');
    automaton.received(new ArrayBuffer(4));
    expect(sent).toEqual(['rule 1: pong', 'rule 3: {"type":"pong","n":1}']);
  });

  it('does not answer the echo of its own reply, with a suffix or without', () => {
    const { automaton, sent } = run({ rules: [{ when: whenAny, send: 'ack' }] });
    automaton.received('hello');
    automaton.received('ack 4711');
    automaton.received('ack');
    automaton.received('hello');
    expect(sent).toEqual(['rule 1: ack', 'rule 1: ack']);
  });

  it.each([
    ['at once', 0, LOOP_GUARDS[0].replies],
    ['ten times a second', 100, LOOP_GUARDS[1].replies],
  ])('stops two rules that answer each other %s, says so, and leaves others alone', (...given) => {
    const [, roundTripMs, most] = given;
    const rules = [
      { when: { kind: 'equals', text: 'PING' }, send: 'ping' },
      { when: { kind: 'equals', text: 'hello' }, send: 'hi' },
    ] as const;
    // The server says the same in capitals, so that no text is known again.
    const peer: { hears: (text: string) => unknown } = { hears: () => undefined };
    const { automaton, sent, stopped } = run({ rules }, (text) => peer.hears(text));
    peer.hears = (text) => setTimeout(() => automaton.received(text.toUpperCase()), roundTripMs);
    automaton.received('PING');
    vi.advanceTimersByTime(3_600_000);
    expect(stopped).toEqual([{ rule: 1, replies: most }]);
    expect(sent).toHaveLength(most);
    automaton.received('hello');
    expect(sent.at(-1)).toBe('rule 2: hi');
  });

  it('goes on for hours with a server that asks every few seconds', () => {
    const { automaton, sent, stopped } = run({
      rules: [{ when: { kind: 'equals', text: 'ping' }, send: 'pong' }],
    });
    for (let n = 0; n < 5_000; n++) {
      automaton.received('ping');
      vi.advanceTimersByTime(2_000);
    }
    expect(sent).toHaveLength(5_000);
    expect(stopped).toEqual([]);
  });
});
