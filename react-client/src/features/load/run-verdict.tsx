import {
  formatCount,
  formatDuration,
  formatMilliseconds,
  formatShare,
  formatSize,
} from '../../lib/figures';
import type { RunReport, Verdict } from './run-report';
import styles from './run-verdict.module.css';

/** Whether a run's numbers are to be trusted, and why not if not. */
export function RunVerdict({ report }: { report: RunReport }) {
  const { verdict, verdict_reasons: reasons, interrupted, thresholds, generator } = report;
  return (
    <section className={styles.verdict} data-verdict={verdict} aria-label="Verdict">
      <h3 className={styles.headline}>
        {HEADLINES[verdict]}
        {interrupted && <span className={styles.interrupted}>interrupted</span>}
      </h3>
      {reasons.length === 0 ? (
        <p>{MEANINGS[verdict]}</p>
      ) : (
        <ul className={styles.reasons}>
          {reasons.map((reason) => (
            <li key={reason}>{reason}</li>
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
        {String(Number(generator.loop_lag.p99.toFixed(1)))} ms,{' '}
        {formatSize(generator.peak_rss_bytes)} at most, {formatCount(generator.processes)}{' '}
        {generator.processes === 1 ? 'process' : 'processes'}, {formatDuration(generator.cpu_s)} of
        CPU time.
      </p>
    </section>
  );
}

/** What a threshold was held against. In the report, times are in milliseconds. */
function valueOf(expression: string, value: number | null): string {
  const isTargets = /^\s*target\./.test(expression);
  if (value === null) return isTargets ? 'is unknown' : 'never happened';
  return /^\s*(latency|target\.loop_lag)\.\S*(p\d|min|mean|max)/.test(expression)
    ? `is ${formatMilliseconds(value)}`
    : `is ${String(Number(value.toPrecision(6)))}`;
}

const HEADLINES: Readonly<Record<Verdict, string>> = {
  valid: 'Valid',
  'generator-limited': 'Generator-limited',
  failed: 'Failed',
};

const MEANINGS: Readonly<Record<Verdict, string>> = {
  valid: 'Every socket and message is accounted for, and the generator kept up.',
  'generator-limited': 'The generator, not the server, set these numbers.',
  failed: 'Sockets or messages went missing.',
};
