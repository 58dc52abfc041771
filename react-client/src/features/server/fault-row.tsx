import { useId, useState } from 'react';

import button from '../../components/button.module.css';
import { afterPress } from '../../lib/after-press';
import { formatCount } from '../../lib/figures';
import type { FaultCount } from './fault-counts';
import { type Fault, type FaultKind, type FaultParameter, nameOf, type Way } from './fault-list';
import styles from './faults-panel.module.css';

interface FaultRowProps {
  fault: Fault;
  /** From 1. */
  place: number;
  of: number;
  kind: FaultKind | undefined;
  /** What is wrong with its values, by their places. */
  problems: Readonly<Record<number, string>>;
  /** Also of values that one has not left yet. */
  areAllProblemsShown: boolean;
  /** What the server said against it. */
  refusal: string | null;
  /** `undefined` while what is shown is not what holds. */
  count: FaultCount | undefined;
  onChange: (change: Partial<Pick<Fault, 'way' | 'values'>>) => void;
  onMove: (by: number) => void;
  onRemove: () => void;
}

/** One fault: what it is done to, with which values, and what it has done. */
export function FaultRow(props: FaultRowProps) {
  const { fault, place, of, kind, problems, areAllProblemsShown, refusal, count } = props;
  const { onChange, onMove, onRemove } = props;
  const name = nameOf(fault);
  const parameters = kind?.parameters ?? [];
  const refusalId = useId();
  return (
    <li className={styles.row} data-way={fault.way}>
      <div className={styles.what}>
        <code className={styles.fault}>{name}</code>
        <span className={styles.does}>{kind?.text}</span>
      </div>
      <div className={styles.settings}>
        {kind?.up === true && (
          <label className={styles.field}>
            <span className={styles.name}>Messages</span>
            <select
              className={styles.select}
              value={fault.way}
              onChange={({ target }) => {
                onChange({ way: target.value as Way });
              }}
            >
              <option value="down">to the client</option>
              <option value="up">to the server</option>
            </select>
          </label>
        )}
        {parameters.map((parameter, at) => (
          <ValueField
            key={parameter.name}
            parameter={parameter}
            value={fault.values[at] ?? ''}
            problem={problems[at] ?? null}
            isProblemShown={areAllProblemsShown}
            isRefused={refusal !== null && parameters.length === 1}
            refusalId={refusalId}
            onChange={(value) => {
              onChange({ values: fault.values.with(at, value) });
            }}
          />
        ))}
      </div>
      <p className={styles.count}>
        {count === undefined
          ? ''
          : `${formatCount(count.seen)} came to it, ${formatCount(count.acted)} changed`}
      </p>
      <div className={styles.tools}>
        <button
          type="button"
          className={button.tool}
          aria-label={`Move ${name} before the one above it`}
          aria-disabled={place === 1}
          onClick={() => {
            onMove(-1);
          }}
        >
          ↑
        </button>
        <button
          type="button"
          className={button.tool}
          aria-label={`Move ${name} behind the one below it`}
          aria-disabled={place === of}
          onClick={() => {
            onMove(1);
          }}
        >
          ↓
        </button>
        <button
          type="button"
          className={button.tool}
          aria-label={`Remove ${name}`}
          onClick={onRemove}
        >
          Remove
        </button>
      </div>
      {refusal !== null && (
        <p id={refusalId} className={styles.refusal} role="alert">
          {refusal}
        </p>
      )}
    </li>
  );
}

interface ValueFieldProps {
  parameter: FaultParameter;
  value: string;
  problem: string | null;
  isProblemShown: boolean;
  isRefused: boolean;
  refusalId: string;
  onChange: (value: string) => void;
}

/** A value, and below it what is wrong with it once one has left it. */
function ValueField(props: ValueFieldProps) {
  const { parameter, value, problem, isProblemShown, isRefused, refusalId, onChange } = props;
  const [isLeft, setIsLeft] = useState(false);
  const problemId = useId();
  const shown = isLeft || isProblemShown ? problem : null;
  return (
    <div className={styles.field}>
      <label className={styles.field}>
        <span className={styles.name}>{LABELS[parameter.name] ?? parameter.name}</span>
        <input
          type="text"
          className={styles.input}
          autoComplete="off"
          spellCheck={false}
          value={value}
          title={parameter.allowed}
          aria-invalid={shown !== null || isRefused}
          aria-describedby={shown !== null ? problemId : isRefused ? refusalId : undefined}
          onChange={({ target }) => {
            onChange(target.value);
          }}
          onBlur={() => {
            afterPress(() => setIsLeft(true));
          }}
        />
      </label>
      {shown !== null && (
        <p id={problemId} className={styles.problem} role="alert">
          {shown}
        </p>
      )}
    </div>
  );
}

/** What the server calls them in its paths, in words. */
const LABELS: Readonly<Partial<Record<string, string>>> = {
  duration: 'Duration',
  every: 'Every n-th',
  n: 'Messages first',
  code: 'Code, or code:reason',
  bytes: 'Bytes a frame',
  http: 'HTTP status',
};
