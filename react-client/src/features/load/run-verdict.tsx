import {
  formatCount,
  formatDuration,
  formatMilliseconds,
  formatShare,
  formatSize,
} from '../../lib/figures';
import { endingsOf, outcomeOf } from './run-outcome';
import type { RunReport } from './run-report';
import styles from './run-verdict.module.css';

/** How the run ended, in the colour and word of its exit code, and why. */
export function RunVerdict({ report }: { report: RunReport }) {
  const { verdict_reasons: reasons, hints = [], thresholds, generator } = report;
  const [first, ...others] = endingsOf(report);
  const { word, meaning, tone } = outcomeOf(first);
  return (
    <section className={styles.verdict} data-tone={tone} aria-label="Verdict">
      <h3 className={styles.headline}>
        {word}
        {others.map(outcomeOf).map((other) => (
          <span key={other.ending} className={styles.also} data-tone={other.tone}>
            {other.word.toLowerCase()}
          </span>
        ))}
      </h3>
      {(reasons.length === 0 || first === 'interrupted') && <p>{meaning}</p>}
      {reasons.length > 0 && (
        <ul className={styles.reasons}>
          {reasons.map((reason) => (
            <li key={reason}>{reason}</li>
          ))}
        </ul>
      )}
      {hints.length > 0 && (
        <ul className={styles.reasons} aria-label="What to do">
          {hints.map((hint) => (
            <li key={hint}>{hint}</li>
          ))}
        </ul>
      )}
      {thresholds.length > 0 && (
        <ul className={styles.thresholds} aria-label="Thresholds">
          {thresholds.map(({ expr, value, breached }) => (
            <li key={expr} data-breached={breached}>
              <code>{expr}</code> {valueOf(expr, value)}
              {breached ? ' – breached' : ' – kept'}
            </li>
          ))}
        </ul>
      )}
      <p className={styles.generator}>
        Generator: {formatShare(generator.cpu_share)} CPU, loop lag p99{' '}
        {formatMilliseconds(generator.loop_lag.p99)}, {formatSize(generator.peak_rss_bytes)} at
        most, {formatCount(generator.processes)}{' '}
        {generator.processes === 1 ? 'process' : 'processes'}, {formatDuration(generator.cpu_s)} of
        CPU time.
      </p>
    </section>
  );
}

/** What a threshold was held against. In the report, times are in milliseconds. */
function valueOf(expression: string, value: number | null): string {
  if (value === null) return whyUnmeasured(expression);
  return /^\s*(latency|target\.loop_lag)\.\S*(p\d|min|mean|max)/.test(expression)
    ? `is ${formatMilliseconds(value)}`
    : `is ${String(Number(value.toPrecision(6)))}`;
}

/** Why there is no figure: not every one that is missing is of something that never happened. */
function whyUnmeasured(expression: string): string {
  if (/^\s*target\./.test(expression)) return 'is unknown: the target did not say';
  if (expression.includes('all_open_after_s')) return 'never happened: not all were open together';
  return 'was not measured';
}
