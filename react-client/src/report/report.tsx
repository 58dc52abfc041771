import { ThemeButton } from '../app/theme-button';
import { EchoMark } from '../components/echo-mark';
import { VisuallyHidden } from '../components/visually-hidden';
import { saveFile } from '../lib/save-file';
import { describePlan } from '../features/load/plan-text';
import { RunDetails } from '../features/load/run-details';
import { figuresOfReport } from '../features/load/run-figures';
import { secondsToCsv } from '../features/load/run-files';
import type { RunReport } from '../features/load/run-report';
import button from '../components/button.module.css';
import { formatDuration } from '../lib/figures';
import styles from './report.module.css';

const WHEN = new Intl.DateTimeFormat('en', { dateStyle: 'long', timeStyle: 'medium' });

/** One load run, in one file that needs no server and no network. */
export function Report({ report }: { report: RunReport | null }) {
  return (
    <div className={styles.page}>
      <header className={styles.header}>
        <p className={styles.brand}>
          <EchoMark size={22} />
          echo-trio
        </p>
        <ThemeButton />
      </header>
      <main>{report === null ? <NoReport /> : <OneRun report={report} />}</main>
    </div>
  );
}

function OneRun({ report }: { report: RunReport }) {
  const begun = new Date(report.started_at);
  const lastedS = (Date.parse(report.ended_at) - begun.getTime()) / 1000;
  const url = typeof report.plan.url === 'string' ? report.plan.url : '';
  return (
    <>
      <div className={styles.heading}>
        <h1 className={styles.title}>{describePlan(report.plan)}</h1>
        <p className={styles.about}>
          <code>{url}</code>
          <time dateTime={report.started_at}>{WHEN.format(begun)}</time>
          <span>took {formatDuration(lastedS)}</span>
        </p>
        <p className={styles.files}>
          <button
            type="button"
            className={button.smallQuiet}
            onClick={() => {
              saveFile('report.json', 'application/json', JSON.stringify(report, null, 2));
            }}
          >
            Save as JSON
          </button>
          <button
            type="button"
            className={button.smallQuiet}
            onClick={() => {
              saveFile('report.csv', 'text/csv', secondsToCsv(report.series));
            }}
          >
            Save seconds as CSV
          </button>
        </p>
      </div>
      <h2>
        <VisuallyHidden>Figures</VisuallyHidden>
      </h2>
      <RunDetails figures={figuresOfReport(report)} axis="elapsed" syncKey="report" />
    </>
  );
}

function NoReport() {
  return (
    <div className={styles.none}>
      <h1 className={styles.title}>No report in here</h1>
      <p>
        This is the bare template, or a report that this page does not know how to read.{' '}
        <code>python -m loadgen 1000 --html report.html</code> writes one.
      </p>
    </div>
  );
}
