import { type ReactNode, useCallback, useEffect, useState } from 'react';

import { Absence } from '../../components/absence';
import button from '../../components/button.module.css';
import { formatDuration } from '../../lib/figures';
import { useStore } from '../../lib/frame-store';
import { remember, remembered } from '../../lib/remembered';
import { saveFile } from '../../lib/save-file';
import { LoadForm } from './load-form';
import type { LoadSession } from './load-session';
import styles from './load-view.module.css';
import { fromSettings, type PlanForm, toSettings } from './plan-form';
import { PLAN_KEY } from './plan-key';
import { describePlan, loadSecondsOf } from './plan-text';
import { RunCompare } from './run-compare';
import { RunDetails } from './run-details';
import { secondsToCsv } from './run-files';
import type { RunFigures } from './run-figures';
import { RunHistory } from './run-history';
import { fetchReportPage, type RunSummary } from './runs-client';

interface LoadViewProps {
  session: LoadSession;
  ownUrl: string | null;
  syncKey: string;
  /** What else stands on the time axis of the run. */
  renderClock: (figures: RunFigures | null) => ReactNode;
  help: ReactNode;
}

/** Start a load run, watch it, cancel it, compare it. */
export function LoadView(props: LoadViewProps) {
  const { session, ownUrl, syncKey, renderClock, help } = props;
  const { runs, problem, shownId, figures, scenarios } = useStore(session.store);
  const [form, setForm] = useState<PlanForm>(() =>
    fromSettings(new URLSearchParams(remembered(PLAN_KEY) ?? '')),
  );
  useEffect(() => session.attach(), [session]);
  useEffect(() => {
    remember(PLAN_KEY, toSettings(form).toString());
  }, [form]);
  const loadReport = useCallback((id: string) => session.report(id), [session]);

  const shown = runs?.find(({ id }) => id === shownId);
  const isBusy = runs?.some(isUnderWay) ?? false;
  const reported = runs?.filter(({ state }) => state === 'done') ?? [];
  if (runs === null && problem !== null) {
    return (
      <Absence title="No console to start a run">
        <p>{problem}</p>
        {help}
      </Absence>
    );
  }
  return (
    <div className={styles.view}>
      {/* What stays in sight stays within this: it may not come over what is below. */}
      <div className={styles.track}>
        <div className={styles.side}>
          <LoadForm
            form={form}
            isBusy={isBusy}
            scenarios={scenarios}
            ownUrl={ownUrl}
            onChange={setForm}
            onStart={(body) => session.start(body)}
          />
          <RunHistory
            runs={runs ?? []}
            shownId={shownId}
            onShow={(id) => {
              session.show(id);
            }}
          />
        </div>
      </div>
      <div className={styles.run}>
        {problem !== null && (
          <p className={styles.problem} role="status">
            {problem}
          </p>
        )}
        {shown === undefined ? (
          <p className={styles.empty}>
            A run opens its sockets, exchanges messages at the rate you plan, checks every reply,
            and closes every socket – then says whether its numbers are to be trusted. Start one, or
            take one of the runs before.
          </p>
        ) : (
          <RunHeader
            key={shown.id}
            run={shown}
            figures={figures}
            onCancel={() => session.cancel(shown.id)}
          />
        )}
        {figures === null ? (
          renderClock(null)
        ) : (
          <RunDetails
            figures={figures}
            axis="clock"
            syncKey={syncKey}
            clock={renderClock(figures)}
          />
        )}
      </div>
      {reported.length > 1 && (
        <div className={styles.compare}>
          <RunCompare key={reported[0]?.id} runs={reported} loadReport={loadReport} />
        </div>
      )}
    </div>
  );
}

interface RunHeaderProps {
  run: RunSummary;
  figures: RunFigures | null;
  onCancel: () => Promise<string | null>;
}

function RunHeader({ run, figures, onCancel }: RunHeaderProps) {
  const [problem, setProblem] = useState<string | null>(null);
  const report = figures?.report ?? null;
  const attempt = (what: () => Promise<string | null>) => {
    setProblem(null);
    what().then(setProblem, (error: unknown) => {
      setProblem(error instanceof Error ? error.message : String(error));
    });
  };
  return (
    <header className={styles.header}>
      <div className={styles.heading}>
        <h2 className={styles.title}>{describePlan(run.plan)}</h2>
        <p className={styles.phase} role="status">
          {phaseOf(run, figures)}
        </p>
        {run.state === 'running' && <TimeLeft figures={figures} />}
      </div>
      <div className={styles.actions}>
        {isUnderWay(run) && (
          <button
            type="button"
            className={button.danger}
            aria-disabled={run.state === 'cancelling'}
            onClick={() => {
              if (run.state === 'running') attempt(onCancel);
            }}
          >
            {run.state === 'cancelling' ? 'Closing…' : 'Cancel the run'}
          </button>
        )}
        {report !== null && (
          <>
            <button
              type="button"
              className={button.smallQuiet}
              onClick={() => {
                attempt(async () => {
                  saveFile(`run-${run.id}.html`, 'text/html', await fetchReportPage(run.id));
                  return null;
                });
              }}
            >
              Save HTML
            </button>
            <button
              type="button"
              className={button.smallQuiet}
              onClick={() => {
                const json = JSON.stringify(report, null, 2);
                saveFile(`run-${run.id}.json`, 'application/json', json);
              }}
            >
              Save JSON
            </button>
            <button
              type="button"
              className={button.smallQuiet}
              onClick={() => {
                saveFile(`run-${run.id}.csv`, 'text/csv', secondsToCsv(report.series));
              }}
            >
              Save CSV
            </button>
          </>
        )}
      </div>
      {problem !== null && (
        <p className={styles.problem} role="alert">
          {problem}
        </p>
      )}
    </header>
  );
}

/** How much of the load is over, and how long the rest takes; nothing where that is not known. */
function TimeLeft({ figures }: { figures: RunFigures | null }) {
  const totalS = figures === null ? null : loadSecondsOf(figures.plan);
  const goneS = figures?.loadForS ?? null;
  if (totalS === null || goneS === null || figures?.phase !== 'load') return null;
  return (
    <p className={styles.left}>
      <progress aria-label="Of the load" value={Math.min(goneS, totalS)} max={totalS} />
      {formatDuration(Math.max(0, Math.ceil(totalS - goneS)))} left
    </p>
  );
}

function isUnderWay({ state }: RunSummary): boolean {
  return state === 'running' || state === 'cancelling';
}

function phaseOf(run: RunSummary, figures: RunFigures | null): string {
  if (run.state === 'failed') return run.error ?? 'It left no report.';
  if (run.state === 'done')
    return figures === null ? 'Finished' : 'Finished: the report is complete';
  if (run.state === 'cancelling') return 'Cancelled: every open socket gets its close handshake';
  return PHASES[figures?.phase ?? ''] ?? 'Starting…';
}

const PHASES: Readonly<Record<string, string>> = {
  preflight: 'Looking whether this machine can do it',
  open: 'Opening the sockets',
  load: 'Under load',
  close: 'Closing the sockets',
};
