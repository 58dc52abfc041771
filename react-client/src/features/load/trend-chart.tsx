import type { CSSProperties } from 'react';

import card from '../../components/chart-card.module.css';
import styles from './trend-chart.module.css';
import {
  explainChange,
  formatTrend,
  formatWhen,
  levelsOf,
  stretchesOf,
  type Trend,
  type TrendRun,
} from './trends';

interface TrendChartProps {
  trend: Trend;
  runs: readonly TrendRun[];
  /** The number of the run that is shown elsewhere on the page. */
  shown: number | null;
  /** Where a run's link leads. */
  linkTo: (run: number) => string;
  onShow: (run: number) => void;
}

/** Room above the highest figure, as a share of it. */
const HEADROOM = 0.08;

/**
 * One figure, a dot for each run: the levels that it was on, and the runs at which it changed. The
 * dots are links for the pointer; the table of runs has the same for the keyboard.
 */
export function TrendChart({ trend, runs, shown, linkTo, onShow }: TrendChartProps) {
  const { name, unit, values, changes, noise } = trend;
  const stretches = stretchesOf(values);
  const points = stretches.flat();
  const high = Math.max(0, ...points.map(({ value }) => value)) * (1 + HEADROOM) || 1;
  const x = (at: number) => (runs.length > 1 ? (at / (runs.length - 1)) * 100 : 50);
  const y = (value: number) => 100 - (value / high) * 100;
  // What a finger needs, unless the next run is nearer; the table has links of that size for all.
  const slot = runs.length > 1 ? `min(24px, ${String(100 / (runs.length - 1))}%)` : '24px';
  const latest = points.at(-1);
  return (
    <figure className={styles.trend} aria-label={titleOf(name)}>
      <figcaption className={card.caption}>
        <span className={card.name}>{titleOf(name)}</span>
        <span className={card.figure}>
          {latest === undefined ? '–' : formatTrend(latest.value, unit)}
          {noise !== null && ` ±${(noise * 100).toFixed(noise < 0.0995 ? 1 : 0)} %`}
        </span>
      </figcaption>
      <div className={styles.frame}>
        <span className={styles.top}>{formatTrend(high, unit)}</span>
        <div className={styles.plot}>
          <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
            <path className={styles.ground} d="M0 100H100M0 0H100" />
            {levelsOf(trend, runs).map(({ from, to, value }) => (
              <path
                key={from}
                className={styles.level}
                d={`M${String(x(from))} ${String(y(value))}H${String(x(to))}`}
              />
            ))}
            {stretches.map((stretch) => (
              <polyline
                key={stretch[0]?.at}
                className={styles.line}
                points={stretch
                  .map(({ at, value }) => `${String(x(at))},${String(y(value))}`)
                  .join(' ')}
              />
            ))}
            {changes.map(({ run, call }) => {
              const at = runs.findIndex(({ id }) => id === run);
              const place = String(x(at));
              return (
                <path key={run} className={styles.change} data-call={call} d={`M${place} 0V100`} />
              );
            })}
          </svg>
          {points.map(({ at, value }) => {
            const run = runs[at];
            if (run === undefined) return null;
            const place = {
              '--x': `${String(x(at))}%`,
              '--y': `${String(y(value))}%`,
              '--slot': slot,
            };
            return (
              <a
                key={run.id}
                className={styles.point}
                style={place as CSSProperties}
                data-shown={run.id === shown}
                href={linkTo(run.id)}
                title={`Run ${String(run.id)}, ${formatWhen(run.started_at)}: ${formatTrend(value, unit)}`}
                aria-hidden="true"
                tabIndex={-1}
                onClick={(event) => {
                  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                  event.preventDefault();
                  onShow(run.id);
                }}
              />
            );
          })}
        </div>
        <span className={styles.bottom}>0</span>
      </div>
      {changes.map((change) => (
        <p key={change.run} className={styles.told} data-call={change.call}>
          {explainChange(trend, change)}
        </p>
      ))}
    </figure>
  );
}

/** `latency p99` → `Latency p99`. */
export function titleOf(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
