import { useEffect, useMemo, useState } from 'react';

import { LineChart } from '../../components/line-chart';
import type { ChartAxis, ChartLimit, ChartLine, ChartMark } from '../../components/chart-kinds';
import type { TimeSeries } from '../../lib/time-series';
import { COUNT, MILLISECONDS, RATE } from '../../lib/units';
import { latencyDistribution, summaryCurve } from './distribution';
import { GENERATOR_LAG_LIMIT, latencyLimits } from './limits';
import { describeChange } from './load-changes';
import styles from './load-charts.module.css';
import type { RunFigures } from './run-figures';
import type { RunReport } from './run-report';
import { runSeries } from './run-series';

interface LoadChartsProps {
  figures: RunFigures;
  /** Since the run's beginning, or as the time of day when it was. */
  axis: Exclude<ChartAxis, 'percentile'>;
  syncKey: string;
}

const THROUGHPUT: readonly ChartLine[] = [
  { label: 'Sent', colour: 'blue' },
  { label: 'Received', colour: 'teal' },
  { label: 'Errors', colour: 'bad' },
];
const SOCKETS: readonly ChartLine[] = [
  { label: 'Open', colour: 'teal', style: 'area' },
  { label: 'Opening', colour: 'amber' },
];
const LATENCY: readonly ChartLine[] = [
  { label: 'p50', colour: 'teal' },
  { label: 'p99', colour: 'blue' },
];
const LAG: readonly ChartLine[] = [{ label: 'Lag', colour: 'amber', style: 'area' }];
const DISTRIBUTION: readonly ChartLine[] = [
  { label: 'Intended', colour: 'blue' },
  { label: 'Service', colour: 'teal' },
];
const CONNECT: readonly ChartLine[] = [{ label: 'Connect', colour: 'teal' }];
const LAG_LIMITS: readonly ChartLimit[] = [GENERATOR_LAG_LIMIT];

/** A run second by second; once it is over, also how its times were distributed. */
export function LoadCharts({ figures, axis, syncKey }: LoadChartsProps) {
  const { series, startedAtS, plan, report, sockets } = figures;
  const originS = axis === 'clock' ? startedAtS : 0;
  const drawn = useMemo(() => runSeries(series, originS), [series, originS]);
  const limits = useMemo(() => latencyLimits(thresholdsOf(report, plan)), [report, plan]);
  const wanted = useMemo<readonly ChartLimit[]>(
    () => [{ label: 'requested', value: sockets.requested, colour: 'grey' }],
    [sockets.requested],
  );
  const { changes } = figures;
  const marks = useMemo<readonly ChartMark[]>(
    () => (changes ?? []).map((one) => ({ at: originS + one.t_s, label: describeChange(one) })),
    [changes, originS],
  );
  const distribution = useDistribution(report);
  const connect = useMemo(
    () => (report === null ? null : summaryCurve(report.connections.connect_ms)),
    [report],
  );
  const shared = { axis, syncKey, isLive: report === null };
  return (
    <div className={styles.charts}>
      <LineChart
        {...shared}
        title="Throughput"
        lines={THROUGHPUT}
        series={drawn.throughput}
        unit={RATE}
        marks={marks}
      />
      <LineChart
        {...shared}
        title="Open sockets"
        lines={SOCKETS}
        series={drawn.sockets}
        unit={COUNT}
        limits={wanted}
      />
      <LineChart
        {...shared}
        title="Latency"
        lines={LATENCY}
        series={drawn.latency}
        unit={MILLISECONDS}
        limits={limits}
        marks={marks}
        note="From when each message was due: a server that stalls makes later ones late too."
      />
      <LineChart
        {...shared}
        title="Generator’s lag"
        lines={LAG}
        series={drawn.lag}
        unit={MILLISECONDS}
        limits={LAG_LIMITS}
        note="How late the generator’s own event loop was, at most, in each second."
      />
      {distribution !== null && (
        <LineChart
          title="Latency by percentile"
          isLive={false}
          axis="percentile"
          lines={DISTRIBUTION}
          series={distribution}
          unit={MILLISECONDS}
          limits={limits}
          note="So many of the replies were at least as fast. Each further nine has as much room."
        />
      )}
      {connect !== null && (
        <LineChart
          title="Connect time by percentile"
          isLive={false}
          axis="percentile"
          lines={CONNECT}
          series={connect}
          unit={MILLISECONDS}
          note="TCP and handshake together, of the sockets that opened."
        />
      )}
    </div>
  );
}

function thresholdsOf(report: RunReport | null, plan: RunFigures['plan']): string[] {
  if (report !== null && report.thresholds.length > 0) {
    return report.thresholds.map(({ expr }) => expr);
  }
  const named = plan.fail_if;
  return Array.isArray(named) ? named.filter((one) => typeof one === 'string') : [];
}

/** Decoding takes a moment, in which there is no chart. */
function useDistribution(report: RunReport | null): TimeSeries | null {
  const [found, setFound] = useState<{ of: RunReport; curve: TimeSeries | null } | null>(null);
  useEffect(() => {
    if (report === null) return;
    let isCurrent = true;
    const show = (curve: TimeSeries | null) => {
      if (isCurrent) setFound({ of: report, curve });
    };
    // A report without readable histograms still has its percentiles in the table.
    latencyDistribution(report.histograms).then(show, () => show(null));
    return () => {
      isCurrent = false;
    };
  }, [report]);
  return found?.of === report ? found.curve : null;
}
