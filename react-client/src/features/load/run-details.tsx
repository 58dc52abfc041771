import type { ReactNode } from 'react';

import { ZoomedCharts } from '../../components/chart-zoom';
import { type Stat, StatTiles } from '../../components/stat-tiles';
import { formatCount, formatMilliseconds, formatRate } from '../../lib/figures';
import { LatencyTable } from './latency-table';
import { LoadCharts } from './load-charts';
import { planRows } from './plan-text';
import { RunChanges } from './run-changes';
import styles from './run-details.module.css';
import { type RunFigures, sum } from './run-figures';
import { RunFunnel } from './run-funnel';
import { RunLedger } from './run-ledger';
import { RunRooms } from './run-rooms';
import { RunScenario } from './run-scenario';
import { RunVerdict } from './run-verdict';

interface RunDetailsProps {
  figures: RunFigures;
  axis: 'clock' | 'elapsed';
  syncKey: string;
  /** What else stands on the time axis of the run. */
  clock?: ReactNode;
}

/** All there is to say of a run: under way, over, or in a report of its own. */
export function RunDetails({ figures, axis, syncKey, clock }: RunDetailsProps) {
  return (
    <div className={styles.details}>
      {figures.report !== null && <RunVerdict report={figures.report} />}
      <LatencyTable figures={figures} />
      <StatTiles label="Figures of the run" stats={statsOf(figures)} />
      <RunChanges figures={figures} />
      <RunScenario figures={figures} />
      <RunRooms figures={figures} />
      <ZoomedCharts axis={axis}>
        {clock}
        <LoadCharts figures={figures} axis={axis} syncKey={syncKey} />
      </ZoomedCharts>
      <RunFunnel figures={figures} />
      <RunLedger figures={figures} />
      <Plan figures={figures} />
    </div>
  );
}

function statsOf({ sockets, messages, latency, report, series }: RunFigures): Stat[] {
  const failed = sum(sockets.failed);
  const wrong =
    messages.lost +
    messages.corrupt +
    messages.reordered +
    messages.duplicate +
    messages.unexpected;
  const lately = series.at(-1);
  const perSecond = report?.messages.received_per_s ?? lately?.received ?? null;
  const p99 = latency.intended.count > 0 ? latency.intended.p99 : null;
  return [
    {
      name: report === null ? 'Open sockets' : 'Opened',
      value: formatCount(report === null ? sockets.open : sockets.opened),
      detail: `of ${formatCount(sockets.requested)}`,
      tone: report !== null && sockets.opened === 0 ? 'bad' : 'plain',
    },
    { name: 'Failed to open', value: formatCount(failed), tone: failed > 0 ? 'bad' : 'plain' },
    { name: 'Messages sent', value: formatCount(messages.sent) },
    {
      name: 'Went wrong',
      value: formatCount(wrong),
      detail: 'lost, altered, …',
      tone: wrong > 0 ? 'bad' : 'plain',
    },
    { name: 'Replies', value: perSecond === null ? null : formatRate(perSecond) },
    { name: 'Latency, p99', value: p99 === null ? null : formatMilliseconds(p99) },
  ];
}

function Plan({ figures: { plan, report } }: { figures: RunFigures }) {
  return (
    <details className={styles.plan} open={report !== null}>
      <summary className={styles.planName}>Plan</summary>
      <dl className={styles.settings}>
        {planRows(plan).map(({ name, value }) => (
          <div key={name} className={styles.setting}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {report !== null && (
        <p className={styles.versions}>
          Python {report.generator.python}, Trio {report.generator.trio}
        </p>
      )}
    </details>
  );
}
