import { render, screen, within } from '@testing-library/react';
import { describe, expect, it } from 'vitest';

import { AXES } from './chart-axes';
import { ChartDataTable, toCsv } from './chart-data-table';

const LINES = [{ label: 'a', colour: 'teal' }] as const;

describe('the figures behind a chart', () => {
  it('are percentages where the axis has so much room for each nine', () => {
    const series = { times: [0, Math.log10(2), 2, 3], columns: [[1, 2, null, 4]] };
    expect(toCsv(AXES.percentile, LINES, series)).toBe('Percentile,a\n0,1\n50,2\n99,\n99.9,4\n');
  });

  it('have a time of their own each, also where two fall into one second', async () => {
    const { container } = render(
      <ChartDataTable
        title="Lag"
        axis={AXES.clock}
        lines={LINES}
        series={{
          times: [1_800_000_000.02, 1_800_000_001.01, 1_800_000_001.98],
          columns: [[1, 2, 3]],
        }}
        limits={[]}
        format={String}
      />,
    );
    container.querySelector('details')?.setAttribute('open', '');
    const rows = within(await screen.findByRole('table')).getAllByRole('rowheader');
    const times = rows.map(({ textContent }) => textContent);
    expect(times.map((time) => time.slice(-4))).toEqual(['01.9', '01.0', '00.0']);
  });

  it('are shown from the latest back, the last of them', async () => {
    const times = Array.from({ length: 130 }, (_, second) => second);
    const { container } = render(
      <ChartDataTable
        title="Lag"
        axis={AXES.elapsed}
        lines={LINES}
        series={{ times, columns: [times] }}
        limits={[]}
        format={String}
      />,
    );
    container.querySelector('details')?.setAttribute('open', '');
    const rows = within(await screen.findByRole('table')).getAllByRole('row');
    expect(rows).toHaveLength(121);
    expect(rows[1]).toHaveTextContent('2:09129');
    expect(rows.at(-1)).toHaveTextContent(/^10\s?s10$/);
  });
});
