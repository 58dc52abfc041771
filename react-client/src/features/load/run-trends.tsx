import { useEffect, useState } from 'react';

import { ConsoleProblem } from '../../lib/console-fetch';
import { formatPlural } from '../../lib/figures';
import { writePlace } from '../../lib/place';
import { TrendChart, titleOf } from './trend-chart';
import styles from './run-trends.module.css';
import {
  FEWEST_RUNS,
  fetchTrends,
  formatTrend,
  formatWhen,
  outcomeOfListed,
  type Trend,
  type TrendLine,
  type TrendRun,
} from './trends';

interface RunTrendsProps {
  /** A run of the name whose runs are shown, by its id at the console. */
  runId: string;
  /** The number in the history of the run that is shown elsewhere on the page. */
  shown: number | null;
  onShow: (run: string) => void;
}

/** These come first, and all runs are listed with them. */
const MAIN = ['latency p50', 'latency p99', 'sent per second'];

/** How the runs of one name went over time, and since when a figure has changed. */
export default function RunTrends({ runId, shown, onShow }: RunTrendsProps) {
  const [found, setFound] = useState<readonly TrendLine[] | string | null>(null);
  useEffect(() => {
    const asking = new AbortController();
    fetchTrends(runId, asking.signal).then(setFound, (problem: unknown) => {
      if (asking.signal.aborted) return;
      const isTold = problem instanceof ConsoleProblem;
      setFound(isTold ? problem.message : 'The console does not answer.');
    });
    return () => asking.abort();
  }, [runId]);
  if (found === null) {
    return (
      <p className={styles.note} role="status">
        Looking through the runs…
      </p>
    );
  }
  if (typeof found === 'string') {
    return (
      <p className={styles.problem} role="alert">
        {found}
      </p>
    );
  }
  const isOfShown = ({ runs }: TrendLine) => runs.some(({ id }) => id === shown);
  const lines = [...found.filter(isOfShown), ...found.filter((line) => !isOfShown(line))];
  return (
    <>
      {lines.map((line) => (
        <Line key={line.runs[0]?.id} line={line} shown={shown} onShow={onShow} />
      ))}
    </>
  );
}

interface LineProps {
  line: TrendLine;
  shown: number | null;
  onShow: (run: string) => void;
}

function Line({ line, shown, onShow }: LineProps) {
  const { name, different, runs, trends } = line;
  const main = MAIN.flatMap((one) => trends.find((trend) => trend.name === one) ?? []);
  const others = trends.filter((trend) => !main.includes(trend));
  const changed = others.filter(({ changes }) => changes.length > 0);
  const steady = others.filter(({ changes }) => changes.length === 0);
  const counted = runs.filter((run) => run.counted).length;
  const chart = (trend: Trend) => (
    <TrendChart
      key={trend.name}
      trend={trend}
      runs={runs}
      shown={shown}
      linkTo={linkTo}
      onShow={(run) => onShow(String(run))}
    />
  );
  return (
    <div className={styles.line}>
      <p className={styles.note}>
        <bdi className={styles.name}>{name}</bdi> {runs.length} {runs.length === 1 ? 'run' : 'runs'}
        {counted < runs.length &&
          `, ${String(runs.length - counted)} of them not counted: interrupted, changed by hand, or limited by the generator`}
        {counted < FEWEST_RUNS && `. Changes are looked for from ${String(FEWEST_RUNS)} runs on`}.
        {different.length > 0 && ` With another plan: ${different.join('; ')}.`}
      </p>
      <div className={styles.charts}>{[...main, ...changed].map(chart)}</div>
      {steady.length > 0 && (
        <details className={styles.more}>
          <summary>
            {formatPlural(steady.length, 'more figure', 'more figures')}, in which nothing has
            changed
          </summary>
          <div className={styles.charts}>{steady.map(chart)}</div>
        </details>
      )}
      {/* A region that scrolls has to be reachable by keyboard. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex */}
      <div className={styles.scroller} role="region" aria-label={`Runs of ${name}`} tabIndex={0}>
        <table className={styles.table}>
          <thead>
            <tr>
              <th scope="col">Run</th>
              <th scope="col">Started</th>
              <th scope="col">Verdict</th>
              {main.map((trend) => (
                <th key={trend.name} scope="col">
                  {titleOf(trend.name)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {runs
              .map((listed, at) => (
                <tr key={listed.id}>
                  <th scope="row">
                    <a
                      href={linkTo(listed.id)}
                      aria-current={listed.id === shown}
                      onClick={(event) => {
                        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                        event.preventDefault();
                        onShow(String(listed.id));
                      }}
                    >
                      {listed.id}
                    </a>
                  </th>
                  <td>{formatWhen(listed.started_at)}</td>
                  <Ending run={listed} />
                  {main.map(({ name: figure, unit, values, changes }) => {
                    const value = values[at] ?? null;
                    const change = changes.find(({ run }) => run === listed.id);
                    return (
                      <td key={figure} data-call={change?.call}>
                        {value === null ? '–' : formatTrend(value, unit)}
                        {change !== undefined && ` ${change.call}`}
                      </td>
                    );
                  })}
                </tr>
              ))
              .reverse()}
          </tbody>
        </table>
      </div>
    </div>
  );
}

function Ending({ run }: { run: TrendRun }) {
  const { word, tone } = outcomeOfListed(run);
  const isChanged = (run.changes ?? []).length > 0;
  return (
    <td>
      <span data-tone={tone}>{word}</span>
      {isChanged && ' · changed by hand'}
    </td>
  );
}

function linkTo(run: number): string {
  return writePlace({ view: 'load', settings: new URLSearchParams({ run: String(run) }) });
}
