import { useMemo } from 'react';

import button from '../../components/button.module.css';
import panel from '../../components/panel.module.css';
import { formatCount, formatPlural, formatTimeOfDay } from '../../lib/figures';
import styles from './compare-view.module.css';
import { type Comparison, compareMessages, type ValueDifference } from './comparison';
import type { ReceivedEntry, SentEntry } from './conversation';
import { ownPayload } from './log-filter';
import { nameOf } from './message-name';
import type { ReadTree } from './read-tree';

type Message = SentEntry | ReceivedEntry;

interface CompareViewProps {
  first: Message;
  second: Message;
  readTree: ReadTree;
  onBack: () => void;
}

/** How two messages differ, with signs and words, so that no colour is needed to read it. */
export default function CompareView({ first, second, readTree, onBack }: CompareViewProps) {
  const [own, theirs] = [ownPayload(first), ownPayload(second)];
  const comparison = useMemo(
    () => compareMessages(ownPayload(first), ownPayload(second), readTree),
    [first, second, readTree],
  );
  return (
    <section className={styles.view} aria-label="Comparison">
      <ul className={styles.sides}>
        <Side sign="−" name="First" entry={first} />
        <Side sign="+" name="Second" entry={second} />
      </ul>
      <p role="status">{summaryOf(comparison)}</p>
      {comparison.by === 'values' ? (
        <Values differences={comparison.differences} />
      ) : (
        <Lines comparison={comparison} isHex={own.type === 'binary' || theirs.type === 'binary'} />
      )}
      {comparison.isCut && (
        <p className={panel.note}>There are more; only the first of them are shown.</p>
      )}
      <div>
        <button type="button" className={button.smallQuiet} onClick={onBack}>
          Back to the message
        </button>
      </div>
    </section>
  );
}

function Side({ sign, name, entry }: { sign: string; name: string; entry: Message }) {
  return (
    <li>
      <span className={styles.sign}>{sign}</span> {name}: {nameOf(entry)},{' '}
      <time>{formatTimeOfDay(entry.atMs, 'milliseconds')}</time>
    </li>
  );
}

function summaryOf(comparison: Comparison): string {
  if (comparison.by === 'lines' || comparison.differences.length === 0) return comparison.sentence;
  const count = formatPlural(comparison.differences.length, 'difference', 'differences');
  return comparison.isCut ? `More than ${count}` : count;
}

function Values({ differences }: { differences: readonly ValueDifference[] }) {
  if (differences.length === 0) return null;
  return (
    // A region that scrolls must be reachable by keyboard.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={styles.scroller} tabIndex={0} role="group" aria-label="Differences">
      <ol className={styles.list}>
        {differences.map(({ what, path, pathInSecond, first, second }) => (
          <li key={`${what} ${path}`} className={styles.difference}>
            <p className={styles.where}>
              <code title={path.slice(0, 400)}>{path}</code>
              {pathInSecond !== null && (
                <>
                  {' '}
                  → <code title={pathInSecond.slice(0, 400)}>{pathInSecond}</code>
                </>
              )}{' '}
              <span className={styles.what}>{what}</span>
            </p>
            {first !== null && <Value sign="−" text={first} />}
            {second !== null && <Value sign="+" text={second} />}
          </li>
        ))}
      </ol>
    </div>
  );
}

function Value({ sign, text }: { sign: '−' | '+'; text: string }) {
  return (
    <p className={styles.line} data-in={sign === '−' ? 'first' : 'second'}>
      <span className={styles.sign}>{sign}</span>
      <code className={styles.text} dir="auto">
        {text}
      </code>
    </p>
  );
}

function Lines({
  comparison,
  isHex,
}: {
  comparison: Comparison & { by: 'lines' };
  isHex: boolean;
}) {
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <div className={styles.scroller} tabIndex={0} role="group" aria-label="Lines">
      {comparison.lines.map((line, index) =>
        line.in === 'gap' ? (
          <p key={index} className={styles.gap}>
            {formatPlural(line.count, 'equal line', 'equal lines')}
          </p>
        ) : (
          <p key={index} className={styles.line} data-in={line.in} data-hex={isHex}>
            <span className={styles.number}>{formatCount(line.number)}</span>
            <span className={styles.sign}>{SIGNS[line.in]}</span>
            <code className={styles.text} dir="auto">
              {line.text.slice(0, MOST_OF_LINE)}
              {line.text.length > MOST_OF_LINE && '…'}
            </code>
          </p>
        ),
      )}
    </div>
  );
}

const SIGNS = { both: ' ', first: '−', second: '+' } as const;

/** More of a line would hold up the page. */
const MOST_OF_LINE = 2_000;
