import { render, screen } from '@testing-library/react';
import { expect, it } from 'vitest';

import type { RunReport } from './run-report';
import { RunVerdict } from './run-verdict';

const generator = {
  processes: 1,
  cpu_s: 1,
  cpu_share: 0.1,
  peak_rss_bytes: 1,
  loop_lag: { p50: 0, p99: 1, max: 2 },
};

it.each([
  ['target.cpu_share>0.9', null, 'is unknown: the target did not say – breached'],
  [
    'connections.all_open_after_s>5s',
    null,
    'never happened: not all were open together – breached',
  ],
  ['latency.p99>5ms', null, 'was not measured – breached'],
  ['target.loop_lag.p99>50ms', 80, 'is 80.0 ms – breached'],
  ['target.cpu_share>0.9', 0.93, 'is 0.93 – breached'],
])('says what %s was held against: %s', (expr, value, shown) => {
  const report: Partial<RunReport> = {
    verdict: 'valid',
    verdict_reasons: [],
    interrupted: false,
    thresholds: [{ expr, value, breached: true }],
    connections: { opened: 1 } as RunReport['connections'],
    generator: generator as RunReport['generator'],
  };
  render(<RunVerdict report={report as RunReport} />);
  expect(screen.getByRole('list', { name: 'Thresholds' })).toHaveTextContent(`${expr} ${shown}`);
});

it('says what to do, where the report does', () => {
  const report = { ...ENDED_WELL, hints: ['--verify exact fits'] } as RunReport;
  render(<RunVerdict report={report} />);
  expect(screen.getByRole('list', { name: 'What to do' })).toHaveTextContent('--verify exact fits');
});

const ENDED_WELL: Partial<RunReport> = {
  verdict: 'valid',
  verdict_reasons: [],
  interrupted: false,
  thresholds: [],
  connections: { opened: 10 } as RunReport['connections'],
  generator: generator as RunReport['generator'],
};
const BREACHED = [{ expr: 'latency.p99>1ms', value: 2, breached: true }];

it.each<[string, Partial<RunReport>, string, string]>([
  ['a run that went well', {}, 'Valid', 'good'],
  ['a breached threshold', { thresholds: BREACHED }, 'Threshold breached', 'bad'],
  [
    'a run that opened nothing',
    { verdict: 'failed', connections: { opened: 0 } as RunReport['connections'] },
    'Nothing openedfailed',
    'bad',
  ],
  ['an interrupted run', { interrupted: true }, 'Interrupted', 'wary'],
  [
    'an interrupted run that opened nothing',
    { interrupted: true, connections: { opened: 0 } as RunReport['connections'] },
    'Interruptednothing opened',
    'wary',
  ],
  [
    'an interrupted run with a breached threshold',
    { interrupted: true, thresholds: BREACHED },
    'Interruptedthreshold breached',
    'wary',
  ],
  [
    'a failed run with a breached threshold',
    { verdict: 'failed', thresholds: BREACHED },
    'Failedthreshold breached',
    'bad',
  ],
  [
    'a generator that set the numbers',
    { verdict: 'generator-limited' },
    'Generator-limited',
    'wary',
  ],
])('gives %s the word and the colour of its exit code', (_, ending, headline, tone) => {
  render(<RunVerdict report={{ ...ENDED_WELL, ...ending } as RunReport} />);
  expect(screen.getByRole('heading')).toHaveTextContent(headline);
  expect(screen.getByRole('region', { name: 'Verdict' })).toHaveAttribute('data-tone', tone);
});
