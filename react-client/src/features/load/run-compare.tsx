import { useEffect, useMemo, useState } from 'react';

import { ZoomedCharts } from '../../components/chart-zoom';
import { LineChart } from '../../components/line-chart';
import type { ChartLine } from '../../components/chart-kinds';
import { onWholeSeconds, type TimeSeries } from '../../lib/time-series';
import { COUNT, MILLISECONDS, RATE } from '../../lib/units';
import { compareRuns, formatChange } from './comparison';
import { latencyLimits } from './limits';
import { describePlan } from './plan-text';
import styles from './run-compare.module.css';
import { outcomeOfReport } from './run-outcome';
import type { RunReport } from './run-report';
import { runSeries } from './run-series';
import { formatStart } from './run-start';
import type { RunSummary } from './runs-client';

interface RunCompareProps {
  /** Those that left a report, newest first. */
  runs: readonly RunSummary[];
  loadReport: (id: string) => Promise<RunReport | null>;
}

const LINES: readonly ChartLine[] = [
  { label: 'First', colour: 'grey', style: 'dashed' },
  { label: 'Second', colour: 'teal' },
];

/** Two runs, one over the other, each from its own beginning. */
export function RunCompare({ runs, loadReport }: RunCompareProps) {
  const [firstId, setFirstId] = useState(runs[1]?.id ?? '');
  const [secondId, setSecondId] = useState(runs[0]?.id ?? '');
  const first = useReport(firstId, loadReport);
  const second = useReport(secondId, loadReport);
  return (
    <section className={styles.compare} aria-labelledby="compare">
      <h2 id="compare" className={styles.title}>
        Compare two runs
      </h2>
      <div className={styles.choices}>
        <Choice label="First" runs={runs} chosen={firstId} onChoose={setFirstId} />
        <Choice label="Second" runs={runs} chosen={secondId} onChoose={setSecondId} />
      </div>
      {first && second && (
        <Comparison key={`${firstId} ${secondId}`} first={first} second={second} />
      )}
      {(first === null || second === null) && (
        <p className={styles.missing} role="alert">
          The report of the {first === null ? 'first' : 'second'} run cannot be had: the console
          does not answer, or has forgotten it.
        </p>
      )}
    </section>
  );
}

function Comparison({ first, second }: { first: RunReport; second: RunReport }) {
  const charts = useMemo(() => {
    const [a, b] = [runSeries(first.series, 0), runSeries(second.series, 0)];
    const both = (one: TimeSeries, other: TimeSeries, column: number) =>
      onWholeSeconds([onlyColumn(one, column), onlyColumn(other, column)]);
    return {
      latency: both(a.latency, b.latency, 1),
      throughput: both(a.throughput, b.throughput, 1),
      sockets: both(a.sockets, b.sockets, 0),
    };
  }, [first, second]);
  const limits = useMemo(
    () => latencyLimits([...new Set([first, second].flatMap(expressionsOf))]),
    [first, second],
  );
  const shared = { axis: 'elapsed', lines: LINES, syncKey: 'compare', isLive: false } as const;
  return (
    <>
      {/* A region that scrolls has to be reachable by keyboard. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className={styles.scroller} role="region" aria-label="Figures compared" tabIndex={0}>
        <table className={styles.table}>
          <thead>
            <tr>
              <th scope="col">Figure</th>
              <th scope="col">First</th>
              <th scope="col">Second</th>
              <th scope="col">Change</th>
            </tr>
          </thead>
          <tbody>
            <tr>
              <th scope="row">Outcome</th>
              {[first, second].map((report, index) => {
                const { word, tone } = outcomeOfReport(report);
                return (
                  <td key={index} data-tone={tone}>
                    {word}
                    {(report.changes ?? []).length > 0 && ', changed by hand'}
                  </td>
                );
              })}
              <td />
            </tr>
            {compareRuns(first, second).map(({ name, change, tone, ...figures }) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>{figures.first}</td>
                <td>{figures.second}</td>
                <td data-tone={tone}>{change === null ? '–' : formatChange(change)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <ZoomedCharts axis="elapsed">
        <div className={styles.charts}>
          <LineChart
            {...shared}
            title="Latency, p99"
            series={charts.latency}
            unit={MILLISECONDS}
            limits={limits}
          />
          <LineChart {...shared} title="Replies" series={charts.throughput} unit={RATE} />
          <LineChart {...shared} title="Sockets open" series={charts.sockets} unit={COUNT} />
        </div>
      </ZoomedCharts>
    </>
  );
}

interface ChoiceProps {
  label: string;
  runs: readonly RunSummary[];
  chosen: string;
  onChoose: (id: string) => void;
}

function Choice({ label, runs, chosen, onChoose }: ChoiceProps) {
  return (
    <label className={styles.choice}>
      {label}
      <select
        className={styles.select}
        value={chosen}
        onChange={({ target }) => {
          onChoose(target.value);
        }}
      >
        {runs.map(({ id, name, plan, startedAtMs }) => (
          <option key={id} value={id}>
            {formatStart(startedAtMs)} · {name === '' ? describePlan(plan) : isolated(name)}
          </option>
        ))}
      </select>
    </label>
  );
}

/** A text in its own direction, where no element can say so. */
function isolated(text: string): string {
  return `\u2068${text}\u2069`;
}

/** `undefined` until it is here, `null` if it cannot be had. */
function useReport(id: string, load: RunCompareProps['loadReport']): RunReport | null | undefined {
  const [found, setFound] = useState<{ id: string; report: RunReport | null } | null>(null);
  useEffect(() => {
    if (id === '') return;
    let isCurrent = true;
    const show = (report: RunReport | null) => {
      if (isCurrent) setFound({ id, report });
    };
    load(id).then(show, () => show(null));
    return () => {
      isCurrent = false;
    };
  }, [id, load]);
  return found?.id === id ? found.report : undefined;
}

function onlyColumn({ times, columns }: TimeSeries, column: number): TimeSeries {
  return { times, columns: [columns[column] ?? []] };
}

function expressionsOf({ thresholds }: RunReport): string[] {
  return thresholds.map(({ expr }) => expr);
}
