import { describe, expect, it } from 'vitest';

import { levels, rates } from './server-series';
import { readServerSnapshot, type ServerSnapshot } from './server-snapshot';

function snapshot(atS: number, rest: Record<string, unknown> = {}): ServerSnapshot {
  const read = readServerSnapshot({ t_ms: atS * 1000, ...rest });
  if (read === null) throw new Error('no snapshot');
  return read;
}

describe('levels', () => {
  it('has a gap, not a zero, while the server was away', () => {
    const snapshots = [
      snapshot(1, { open: 5 }),
      snapshot(2, { open: 6 }),
      snapshot(12, { open: 1 }),
    ];
    expect(levels(snapshots, ({ open }) => open)).toEqual({
      times: [1, 2, 7, 12],
      columns: [[5, 6, null, 1]],
    });
  });

  it('has a gap where the server does not say', () => {
    const quiet = { count: 0, p50: 0, p99: 0, max: 0 };
    const busy = { count: 3, p50: 1, p99: 2, max: 3 };
    const snapshots = [snapshot(1, { echo_ms: busy }), snapshot(2, { echo_ms: quiet })];
    expect(levels(snapshots, ({ echoMs }) => echoMs?.p99 ?? null).columns).toEqual([[2, null]]);
  });
});

describe('rates', () => {
  it('divides what came by the time it took', () => {
    const snapshots = [
      snapshot(10, { messages_received: 100 }),
      snapshot(11, { messages_received: 300 }),
      snapshot(13, { messages_received: 400 }),
    ];
    expect(rates(snapshots, (one) => one.messagesReceived)).toEqual({
      times: [10, 11, 13],
      columns: [[null, 200, 50]],
    });
  });

  it('has no rate across a restart, even a quick one whose counters are already ahead', () => {
    const snapshots = [
      snapshot(10, { messages_received: 10, uptime_s: 500 }),
      snapshot(11, { messages_received: 90, uptime_s: 0.5 }),
      snapshot(12, { messages_received: 95, uptime_s: 1.5 }),
    ];
    expect(rates(snapshots, (one) => one.messagesReceived).columns).toEqual([
      [null, null, null, 5],
    ]);
    expect(levels(snapshots, (one) => one.uptimeS).columns).toEqual([[500, null, 0.5, 1.5]]);
  });
});

describe('readServerSnapshot', () => {
  it('takes what it knows and leaves the rest unsaid', () => {
    expect(
      snapshot(1, { open: 3, close_codes: { 1000: 2, odd: 'x' }, rss_bytes: 'much' }),
    ).toMatchObject({
      atMs: 1000,
      open: 3,
      closeCodes: { 1000: 2 },
      rssBytes: null,
      echoMs: null,
      draining: false,
    });
  });

  it.each([null, 'text', [], {}, { t_ms: 'now' }])('%j is no snapshot', (value) => {
    expect(readServerSnapshot(value)).toBeNull();
  });
});
