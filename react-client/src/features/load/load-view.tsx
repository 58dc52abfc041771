import { type ReactNode, Suspense, useCallback, useEffect, useState } from 'react';

import { Absence } from '../../components/absence';
import button from '../../components/button.module.css';
import { ErrorBoundary } from '../../components/error-boundary';
import { useStore } from '../../lib/frame-store';
import { keepEndInView } from '../../lib/keep-end-in-view';
import { lazyPart } from '../../lib/lazy-part';
import { remember, remembered } from '../../lib/remembered';
import { LoadForm } from './load-form';
import type { LoadSession } from './load-session';
import styles from './load-view.module.css';
import { fromSettings, type PlanForm, toBody, toSettings } from './plan-form';
import { PLAN_KEY } from './plan-key';
import { describePlan } from './plan-text';
import { RunCompare } from './run-compare';
import { RunDetails } from './run-details';
import type { RunFigures } from './run-figures';
import { RunHistory } from './run-history';
import { isUnderWay, RunHeader } from './run-header';
import { formatWhen } from './trends';

const RunSteering = lazyPart(() => import('./run-steering'));
const RunTrends = lazyPart(() => import('./run-trends'));

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
  const { runs, problem, shownId, figures, isShownMissing, scenarios } = useStore(session.store);
  const [form, setForm] = useState<PlanForm>(() =>
    fromSettings(new URLSearchParams(remembered(PLAN_KEY) ?? '')),
  );
  useEffect(() => session.attach(), [session]);
  useEffect(() => {
    remember(PLAN_KEY, toSettings(form).toString());
  }, [form]);
  const loadReport = useCallback((id: string) => session.report(id), [session]);

  const [trendsOf, setTrendsOf] = useState<string | null>(null);
  const shown = runs?.find(({ id }) => id === shownId);
  // What stays of a run whose reports are kept; one that is not in the list is known by its number.
  const keptId = shown === undefined ? (figures === null ? null : shownId) : shown.kept;
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
        <div ref={keepEndInView} className={styles.side}>
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
        {shown === undefined && shownId !== null && runs !== null ? (
          <LongAgo id={shownId} isMissing={isShownMissing} figures={figures} />
        ) : shown === undefined ? (
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
            ownUrl={ownUrl}
            onCancel={() => session.cancel(shown.id)}
            onAnnotate={(words) => session.annotate(shown.id, words)}
            onPlan={setForm}
            onAgain={async (again) => {
              setForm(again);
              return (await session.start(toBody(again)))?.message ?? null;
            }}
          />
        )}
        {shown?.state === 'running' && figures?.phase === 'load' && figures.load != null && (
          <ErrorBoundary part="What changes the load">
            <Suspense>
              <RunSteering key={shown.id} runId={shown.id} load={figures.load} />
            </Suspense>
          </ErrorBoundary>
        )}
        {figures === null ? (
          renderClock(null)
        ) : (
          <RunDetails
            // What is looked at of one run is not of the next.
            key={`details of ${String(shownId)}`}
            figures={figures}
            axis="clock"
            syncKey={syncKey}
            clock={renderClock(figures)}
          />
        )}
      </div>
      {(keptId !== null || trendsOf !== null) && (
        <section className={styles.compare} aria-labelledby="over-time">
          <h2 id="over-time" className={styles.overTime}>
            Over time
            <button
              type="button"
              className={button.smallQuiet}
              aria-expanded={trendsOf !== null}
              onClick={() => setTrendsOf(trendsOf === null ? keptId : null)}
            >
              {trendsOf === null ? 'Show all runs of this name' : 'Hide'}
            </button>
          </h2>
          {trendsOf !== null && (
            <ErrorBoundary part="What runs were like over time">
              <Suspense>
                <RunTrends
                  key={trendsOf}
                  runId={trendsOf}
                  shown={Number(shown?.kept ?? shownId)}
                  onShow={(run) => {
                    session.show(run);
                  }}
                />
              </Suspense>
            </ErrorBoundary>
          )}
        </section>
      )}
      {reported.length > 1 && (
        <div className={styles.compare}>
          <RunCompare key={reported[0]?.id} runs={reported} loadReport={loadReport} />
        </div>
      )}
    </div>
  );
}

interface LongAgoProps {
  id: string;
  isMissing: boolean;
  figures: RunFigures | null;
}

/** Above a run that is not in the list: it is kept, or it is gone. */
function LongAgo({ id, isMissing, figures }: LongAgoProps) {
  if (isMissing) {
    return (
      <p className={styles.empty} role="status">
        This console does not remember the run {id} any more.
      </p>
    );
  }
  if (figures === null) {
    return (
      <p className={styles.empty} role="status">
        Looking for the run {id}…
      </p>
    );
  }
  return (
    <header className={styles.header}>
      <div>
        <h2 className={styles.title}>{describePlan(figures.plan)}</h2>
        <p className={styles.phase}>
          Run {id} of the history, {formatWhen(new Date(figures.startedAtS * 1000).toISOString())}
        </p>
      </div>
    </header>
  );
}
