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
  ['target.cpu_share>0.9', null, 'is unknown – breached'],
  ['connections.all_open_after_s>5s', null, 'never happened – breached'],
  ['target.loop_lag.p99>50ms', 80, 'is 80.0 ms – breached'],
  ['target.cpu_share>0.9', 0.93, 'is 0.93 – breached'],
])('says what %s was held against: %s', (expr, value, shown) => {
  const report: Partial<RunReport> = {
    verdict: 'valid',
    verdict_reasons: [],
    interrupted: false,
    thresholds: [{ expr, value, breached: true }],
    generator: generator as RunReport['generator'],
  };
  render(<RunVerdict report={report as RunReport} />);
  expect(screen.getByRole('list', { name: 'Thresholds' })).toHaveTextContent(`${expr} ${shown}`);
});
