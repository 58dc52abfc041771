import { render, screen, within } from '@testing-library/react';
import { expect, it } from 'vitest';

import type { RunFigures } from './run-figures';
import type { RunReport, Summary } from './run-report';
import { RunScenario } from './run-scenario';

const NOTHING = { count: 0, p50: null, p99: null } as unknown as Summary;

function show(report: Partial<RunReport> | null) {
  render(<RunScenario figures={{ report } as RunFigures} />);
}

function rowsOf(name: string): string[] {
  const region = screen.getByRole('region', { name });
  return within(region)
    .getAllByRole('row')
    .map((row) =>
      [...row.children].map((cell) => cell.textContent.replace('\u00a0', ' ')).join(' | '),
    );
}

it('shows users by how they ended, and every step, check, stream and counter', () => {
  const service = { count: 3, p50: 1.5, p99: 120 } as Summary;
  show({
    users: {
      requested: 3,
      finished: 1,
      failed: 2,
      interrupted: 0,
      not_started: 0,
      failed_by: { 'LostReply at chat.py:12': 2 },
      tracebacks: { 'LostReply at chat.py:12': 'Traceback (most recent call last): …' },
    },
    steps: [
      {
        name: 'login',
        kind: 'request',
        count: 6,
        ok: 3,
        failed: 0,
        lost: 2,
        in_flight: 1,
        intended: null,
        service,
      },
      {
        name: 'never',
        kind: 'expect',
        count: 1,
        ok: 0,
        failed: 1,
        lost: 0,
        in_flight: 0,
        intended: service,
        service: NOTHING,
      },
    ],
    checks: [{ name: 'price is positive', passed: 1200, failed: 3 }],
    streams: [{ name: 'ticks', received: 10, gaps: 2, reordered: 1, duplicate: 0, age: NOTHING }],
    counters: { said: 7 },
  });
  const users = screen.getByRole('region', { name: 'Users: 3' });
  expect(users).toHaveTextContent('Finished1Failed2Interrupted0Not started0');
  expect(screen.getByText('2 × LostReply at chat.py:12')).toBeInTheDocument();
  expect(screen.getByText(/^Traceback/)).toBeInTheDocument();
  expect(rowsOf('Steps')).toEqual([
    'Step | kind | count | ok | failed | lost | in flight | intended p50 | p99 | service p50 | p99',
    'login | request | 6 | 3 | 0 | 2 | 1 | – | – | 1.5 ms | 120 ms',
    'never | expect | 1 | 0 | 1 | 0 | 0 | 1.5 ms | 120 ms | – | –',
  ]);
  expect(rowsOf('Checks')).toEqual(['Check | passed | failed', 'price is positive | 1,200 | 3']);
  expect(rowsOf('Streams')).toEqual([
    'Stream | received | gaps | reordered | duplicate | age p50 | p99',
    'ticks | 10 | 2 | 1 | 0 | – | –',
  ]);
  expect(rowsOf('Counters')).toEqual(['Counter | count', 'said | 7']);
  const marked = document.querySelectorAll("[aria-label='Scenario'] td[data-tone='bad']");
  expect([...marked].map((cell) => cell.textContent)).toEqual(['2', '1', '3', '2', '1']);
});

it.each([
  ['a run without a scenario', { users: null, steps: [], checks: [], streams: [], counters: {} }],
  ['a report of an older version', {}],
  ['a run under way', null],
])('shows nothing of %s', (_, report) => {
  show(report);
  expect(document.body).toHaveTextContent(/^$/);
});
