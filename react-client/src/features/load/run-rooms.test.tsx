import { render, screen } from '@testing-library/react';
import { describe, expect, it } from 'vitest';

import type { RunFigures } from './run-figures';
import type { FanOut, Summary } from './run-report';
import { RunRooms } from './run-rooms';

const TIMES: Summary = {
  ...{ count: 4, min: 1, mean: 2, p50: 2, p90: 3 },
  ...{ p95: 3, p99: 3, p999: 4, max: 4 },
};

function show(fanOut: FanOut | null) {
  return render(<RunRooms figures={{ report: { fan_out: fanOut } } as unknown as RunFigures} />);
}

describe('what rooms were owed', () => {
  it('is told copy by copy, with how long the last receiver waited', () => {
    const copies = { owed: 40, delivered: 38, missing: 2, unsettled: 0, in_flight: 0, extra: 0 };
    show({ published: 2, ...copies, first: TIMES, last: TIMES, each: { ...TIMES, count: 0 } });
    expect(screen.getByRole('region', { name: 'Copies owed: 40' })).toHaveTextContent('Missing2');
    expect(screen.getByRole('row', { name: /^last/ })).toHaveTextContent('4.0');
    expect(screen.getByRole('row', { name: /^each/ })).toHaveTextContent('–');
  });

  it('is nothing without rooms', () => {
    expect(show(null).container).toBeEmptyDOMElement();
  });
});
