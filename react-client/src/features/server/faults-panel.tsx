import { useEffect, useId, useLayoutEffect, useReducer, useRef, useState } from 'react';

import button from '../../components/button.module.css';
import { CopyButton } from '../../components/copy-button';
import { ConsoleProblem, consoleJson } from '../../lib/console-fetch';
import { formatClock, formatCount, formatPlural } from '../../lib/figures';
import { type CountsSinceThen, countsSinceApplied } from './fault-counts';
import {
  type DeskAction,
  deskAfter,
  type FaultDesk,
  isChanged,
  newDesk,
  problemsOf,
  type Refusal,
  rowsOf,
} from './fault-desk';
import { type FaultKinds, nameOf, readFaultKinds, writeFaults } from './fault-list';
import { FaultRow } from './fault-row';
import styles from './faults-panel.module.css';
import type { ServerSnapshot } from './server-snapshot';

interface FaultsPanelProps {
  /** Of a proxy; the last of them says which faults hold. */
  snapshots: readonly ServerSnapshot[];
  isLive: boolean;
}

/** The faults that a proxy puts before all its pairs: seen, changed and undone while they work. */
export default function FaultsPanel({ snapshots, isLive }: FaultsPanelProps) {
  const [known, setKnown] = useState<FaultKinds | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [asked, setAsked] = useState(0);
  const titleId = useId();

  useEffect(() => {
    let isGone = false;
    void fetchKinds().then(
      (kinds) => {
        if (!isGone) setKnown(kinds);
      },
      (reason: unknown) => {
        if (!isGone) setProblem(describe(reason));
      },
    );
    return () => {
      isGone = true;
    };
  }, [asked]);

  const latest = snapshots.at(-1);
  return (
    <section className={styles.panel} aria-labelledby={titleId}>
      <h3 id={titleId} className={styles.title}>
        Faults
      </h3>
      <p className={styles.lead}>
        What this proxy does to the messages between its clients and <code>{latest?.upstream}</code>
        : to those of all pairs, open and new, from the next message on, and before what a client’s
        own address asks for. The first of each direction sees the messages first.
      </p>
      {problem !== null && (
        <p className={styles.problem} role="alert">
          {problem}{' '}
          <button
            type="button"
            className={button.smallQuiet}
            onClick={() => {
              setProblem(null);
              setAsked(asked + 1);
            }}
          >
            Try again
          </button>
        </p>
      )}
      {known !== null && latest !== undefined && (
        <Desk known={known} snapshots={snapshots} latest={latest} isLive={isLive} />
      )}
    </section>
  );
}

async function fetchKinds(): Promise<FaultKinds> {
  const kinds = readFaultKinds(await consoleJson('api/behaviours'));
  if (kinds === null) throw new Error('The console does not say which faults there are.');
  return kinds;
}

interface DeskProps extends FaultsPanelProps {
  known: FaultKinds;
  latest: ServerSnapshot;
}

function Desk({ known, snapshots, latest, isLive }: DeskProps) {
  const [desk, dispatch] = useReducer(
    (before: FaultDesk, action: DeskAction) => deskAfter(before, action, known),
    latest.faults ?? '',
    newDesk,
  );
  const [chosen, setChosen] = useState(known.kinds[0]?.name ?? '');
  const [said, setSaid] = useState('');
  const [isAsking, setIsAsking] = useState(false);
  const [isChecked, setIsChecked] = useState(false);
  const list = useRef<HTMLOListElement>(null);
  const adder = useRef<HTMLSelectElement>(null);
  useFocusKept(list);

  useEffect(() => {
    if (latest.faults !== null) dispatch({ type: 'told', held: latest.faults });
  }, [latest]);

  const rows = rowsOf(desk, known);
  const changed = isChanged(desk, known);
  const before = desk.past.at(-1);
  const text = rows === null ? desk.held : writeFaults(rows);
  const counts = countsSinceApplied(snapshots);

  const put = async (faults: string, isUndo = false) => {
    if (isAsking) return;
    setIsAsking(true);
    setSaid('');
    try {
      const answer = await putFaults(faults);
      dispatch({ type: 'applied', held: answer, isUndo });
      setIsChecked(false);
      setSaid(sentenceOf(answer, latest.open));
    } catch (reason) {
      dispatch({ type: 'refused', refusal: refusalOf(reason) });
    } finally {
      setIsAsking(false);
    }
  };
  const apply = () => {
    if (rows === null) return;
    setIsChecked(true);
    const isWrong = rows.some((row) => Object.keys(problemsOf(row, known)).length > 0);
    if (isWrong) {
      requestAnimationFrame(() => {
        list.current?.querySelector<HTMLElement>('[aria-invalid=true]')?.focus();
      });
    } else if (changed) void put(text);
  };
  const edit = (action: DeskAction) => {
    setSaid('');
    dispatch(action);
  };

  return (
    <>
      <Watched latest={isLive ? latest : null} counts={counts} />
      {rows === null ? (
        <p className={styles.problem}>
          This page does not know all of <code>{desk.held}</code>. Taken off, they can be put
          together anew here.
        </p>
      ) : rows.length === 0 ? (
        <p className={styles.none}>None: messages pass as they come.</p>
      ) : (
        <ol ref={list} className={styles.rows}>
          {rows.map((fault, at) => (
            <FaultRow
              key={fault.key}
              fault={fault}
              place={at + 1}
              of={rows.length}
              kind={known.kinds.find(({ name }) => name === fault.name)}
              problems={problemsOf(fault, known)}
              areAllProblemsShown={isChecked}
              refusal={desk.refusal?.at === at ? desk.refusal.message : null}
              count={changed ? undefined : counts.counts.get(nameOf(fault).slice(1))}
              onChange={(to) => {
                edit({ type: 'change', key: fault.key, to });
              }}
              onMove={(by) => {
                edit({ type: 'move', key: fault.key, by });
              }}
              onRemove={() => {
                edit({ type: 'remove', key: fault.key });
                adder.current?.focus();
              }}
            />
          ))}
        </ol>
      )}
      {desk.refusal !== null && desk.refusal.at === null && (
        <p className={styles.problem} role="alert">
          {desk.refusal.message}
        </p>
      )}
      <form
        className={styles.adder}
        onSubmit={(event) => {
          event.preventDefault();
          edit({ type: 'add', name: chosen });
        }}
      >
        <label className={styles.choice}>
          <span className={styles.name}>Add a fault</span>
          <select
            ref={adder}
            className={styles.select}
            value={chosen}
            onChange={({ target }) => {
              setChosen(target.value);
            }}
          >
            {known.kinds.map((kind) => (
              <option key={kind.name} value={kind.name}>
                {kind.name} – {kind.text}
              </option>
            ))}
          </select>
        </label>
        <button
          type="submit"
          className={button.quiet}
          aria-disabled={rows === null || rows.length >= known.most}
        >
          Add
        </button>
        {rows !== null && rows.length >= known.most && (
          <span className={styles.note}>There may be {formatCount(known.most)} at most.</span>
        )}
      </form>
      <div className={styles.actions}>
        <button
          type="button"
          className={button.primary}
          aria-disabled={!changed || isAsking}
          onClick={apply}
        >
          Apply
        </button>
        {desk.draft !== null && (
          <button
            type="button"
            className={button.quiet}
            onClick={() => {
              setIsChecked(false);
              edit({ type: 'discard' });
            }}
          >
            Discard the changes
          </button>
        )}
        {before !== undefined && (
          <button
            type="button"
            className={button.quiet}
            title={before === '' ? 'Back to none' : `Back to ${before}`}
            onClick={() => void put(before, true)}
          >
            Undo the last change
          </button>
        )}
        {desk.held !== '' && (
          <button type="button" className={button.quiet} onClick={() => void put('')}>
            Take all off
          </button>
        )}
        <span className={styles.said} role="status">
          {said !== '' ? said : changed ? 'Not applied yet.' : ''}
        </span>
      </div>
      {text !== '' && (
        <p className={styles.command}>
          <code className={styles.text}>{text}</code>
          <CopyButton text={`--fault '${text}'`} label="these faults as a flag" />
        </p>
      )}
    </>
  );
}

/** What passes while one watches. */
function Watched({ latest, counts }: { latest: ServerSnapshot | null; counts: CountsSinceThen }) {
  const { sinceMs } = counts;
  const figures = [
    { name: 'Open pairs', value: latest?.open ?? null },
    { name: 'Messages of the clients', value: latest?.messagesReceived ?? null },
    { name: 'Messages to the clients', value: latest?.messagesSent ?? null },
  ];
  return (
    <dl className={styles.figures} aria-label="What passes">
      {figures.map(({ name, value }) => (
        <div key={name} className={styles.figure}>
          <dt>{name}</dt>
          <dd>{value === null ? '–' : formatCount(value)}</dd>
        </div>
      ))}
      <div className={styles.figure}>
        <dt>Faults are counted</dt>
        <dd>{sinceMs === null ? 'since the start' : `since ${formatClock(sinceMs / 1000)}`}</dd>
      </div>
    </dl>
  );
}

/** A row that is moved among others loses the focus in the browser's hands: it gets it back. */
function useFocusKept(list: { readonly current: HTMLElement | null }): void {
  const focused = useRef<Element | null>(null);
  useLayoutEffect(() => {
    const last = focused.current;
    const isLost = document.activeElement === null || document.activeElement === document.body;
    if (isLost && last instanceof HTMLElement && list.current?.contains(last) === true) {
      last.focus();
    }
    focused.current = document.activeElement;
  });
}

async function putFaults(faults: string): Promise<string> {
  const answer = await consoleJson('api/faults', {
    method: 'PUT',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ faults }),
  });
  const held = typeof answer === 'object' && answer !== null && 'faults' in answer && answer.faults;
  return typeof held === 'string' ? held : faults;
}

function refusalOf(reason: unknown): Refusal {
  const at = reason instanceof ConsoleProblem ? (reason.at ?? null) : null;
  return { message: describe(reason), at };
}

function describe(reason: unknown): string {
  if (reason instanceof ConsoleProblem) return reason.message;
  // A browser says no more of a connection that failed than that it did.
  return reason instanceof TypeError ? 'The console does not answer.' : String(reason);
}

function sentenceOf(faults: string, open: number | null): string {
  if (faults === '') return 'All are off: messages pass as they come.';
  const pairs = open === null ? 'all pairs' : formatPlural(open, 'open pair', 'open pairs');
  return `Applied to ${pairs} and to new ones, from the next message on.`;
}
