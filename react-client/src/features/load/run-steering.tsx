import { type SubmitEvent, useId, useState } from 'react';

import button from '../../components/button.module.css';
import { consoleFetch } from '../../lib/console-fetch';
import { formatLoadRate, type LoadNow, stepped } from './load-changes';
import styles from './run-steering.module.css';

interface RunSteeringProps {
  runId: string;
  load: LoadNow;
  /** What the console's paths begin with. */
  base?: string;
}

/** Pause a load while it goes, and give it another rate. What was changed is told by the run. */
export default function RunSteering({ runId, load, base = '' }: RunSteeringProps) {
  const [problem, setProblem] = useState<string | null>(null);
  const [typed, setTyped] = useState('');
  const rateId = useId();
  const steer = async (change: Readonly<Record<string, unknown>>) => {
    setProblem(null);
    try {
      await consoleFetch(`${base}api/runs/${runId}`, {
        method: 'PATCH',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(change),
      });
      setTyped('');
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  const onSubmit = (event: SubmitEvent) => {
    event.preventDefault();
    if (typed.trim() === '') return;
    if (load.unit !== 'factor') {
      void steer({ rate: asRate(typed) });
      return;
    }
    const factor = Number(typed);
    if (Number.isNaN(factor)) setProblem('A number by which to multiply the plan, like 1.5.');
    else void steer({ factor });
  };
  return (
    <section className={styles.steering} aria-label="The load while it goes">
      <button
        type="button"
        className={button.quiet}
        onClick={() => void steer({ paused: !load.paused })}
      >
        {load.paused ? 'Resume' : 'Pause'}
      </button>
      {load.rate !== null && (
        <form className={styles.rate} onSubmit={onSubmit}>
          <label htmlFor={rateId}>Rate</label>
          <button
            type="button"
            className={button.smallQuiet}
            aria-label="Lower by 10 % of the plan"
            onClick={() => void steer({ factor: stepped(load.factor, -1) })}
          >
            −10 %
          </button>
          <input
            id={rateId}
            className={styles.field}
            value={typed}
            placeholder={formatLoadRate(load.rate, load.unit)}
            autoComplete="off"
            spellCheck={false}
            aria-invalid={problem !== null && typed !== ''}
            onChange={(event) => {
              setTyped(event.target.value);
            }}
          />
          <button
            type="button"
            className={button.smallQuiet}
            aria-label="Raise by 10 % of the plan"
            onClick={() => void steer({ factor: stepped(load.factor, 1) })}
          >
            +10 %
          </button>
          <button type="submit" className={button.smallQuiet}>
            Set
          </button>
        </form>
      )}
      <p role="status" className={styles.state}>
        {load.paused ? 'Paused: nothing falls due. ' : ''}
        {load.rate !== null && load.factor !== 1
          ? `${formatLoadRate(load.rate, load.unit)}, planned ${formatLoadRate(load.planned ?? 0, load.unit)}.`
          : ''}
      </p>
      {problem !== null && (
        <p role="alert" className={styles.problem}>
          {problem}
        </p>
      )}
    </section>
  );
}

/** A bare number is a rate a second. */
function asRate(typed: string): string {
  const text = typed.trim();
  return /^[\d.]+[km]?$/i.test(text) ? `${text}/s` : text;
}
