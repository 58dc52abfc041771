import { useMemo } from 'react';

import { LineChart } from '../../components/line-chart';
import type { ChartLine } from '../../components/chart-kinds';
import { type Store, useStore } from '../../lib/frame-store';
import { type TimeSeries, withGaps } from '../../lib/time-series';
import { MILLISECONDS } from '../../lib/units';

const LINES: readonly ChartLine[] = [{ label: 'Slowest of each second', colour: 'teal' }];
/** Seconds in which nothing came back are a gap. */
const LONGEST_STEP_S = 1.5;

/** The round trips of one connection over time. */
export default function LatencyPanel({ latency }: { latency: Store<TimeSeries> }) {
  const measured = useStore(latency);
  const series = useMemo(() => withGaps(measured, LONGEST_STEP_S), [measured]);
  return (
    <LineChart
      title="Round trip"
      lines={LINES}
      series={series}
      unit={MILLISECONDS}
      heightPx={96}
      isLive={false}
    />
  );
}
