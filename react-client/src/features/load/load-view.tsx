import { type ReactNode, useCallback, useEffect, useState } from 'react';

import { Absence } from '../../components/absence';
import { useStore } from '../../lib/frame-store';
import { remember, remembered } from '../../lib/remembered';
import { LoadForm } from './load-form';
import type { LoadSession } from './load-session';
import styles from './load-view.module.css';
import { fromSettings, type PlanForm, toBody, toSettings } from './plan-form';
import { PLAN_KEY } from './plan-key';
import { RunCompare } from './run-compare';
import { RunDetails } from './run-details';
import type { RunFigures } from './run-figures';
import { RunHistory } from './run-history';
import { isUnderWay, RunHeader } from './run-header';

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
        {shown === undefined && shownId !== null && runs !== null ? (
          <p className={styles.empty} role="status">
            This console does not remember the run {shownId} any more.
          </p>
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
        {figures === null ? (
          renderClock(null)
        ) : (
          <RunDetails
            // What is looked at of one run is not of the next.
            key={shownId}
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
