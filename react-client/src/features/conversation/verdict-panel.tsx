import { Suspense, useId, useState } from 'react';

import { VisuallyHidden } from '../../components/visually-hidden';
import { formatCount, formatMilliseconds } from '../../lib/figures';
import { lazyPart } from '../../lib/lazy-part';
import { usePartName } from '../../lib/part-name';
import type { EchoCounts } from './echo-counts';
import type { Matching, ReplyForm } from './matching';
import type { RoundTripSummary } from './round-trips';
import styles from './verdict-panel.module.css';
import { verdictSentence } from './verdict-sentence';

// What one may say of replies is not looked for before there are any.
const MatchingChoice = lazyPart(() => import('./matching-choice'));

interface VerdictPanelProps {
  counts: EchoCounts;
  roundTrips: RoundTripSummary | null;
  matching: Matching;
  /** As seen; `undefined` until something was. */
  form: ReplyForm | undefined;
  onMatching: (matching: Matching) => void;
}

/** What all messages so far add up to, always in sight. */
export function VerdictPanel(props: VerdictPanelProps) {
  const { counts, roundTrips, matching, form, onMatching } = props;
  const verdictId = useId();
  const roundTripId = useId();
  const { text, tone } = verdictSentence(counts);
  // Where there is little room, the rest is behind one line.
  const [isOpen, setIsOpen] = useState(false);
  return (
    <section className={styles.panel} data-open={isOpen} aria-label={usePartName('Figures')}>
      <div role="group" aria-labelledby={verdictId} className={styles.verdict}>
        <h2 id={verdictId} className={styles.heading}>
          Echo verdict
        </h2>
        <p className={styles.sentence} data-tone={tone}>
          {text}
        </p>
        <button
          type="button"
          className={styles.toggle}
          aria-expanded={isOpen}
          onClick={() => {
            setIsOpen(!isOpen);
          }}
        >
          {formatCount(counts.sent)} sent
          {roundTrips !== null && ` · ${formatMilliseconds(roundTrips.lastMs)}`}
          <VisuallyHidden>, all figures</VisuallyHidden>
        </button>
        <dl className={styles.figures}>
          <Count name="Sent" count={counts.sent} />
          <Count name="Echoed" count={counts.echoed} />
          <Count name="Waiting" count={counts.waiting} />
          <Count name="Lost on close" count={counts.lost} isFault />
          <Count name="Corrupt" count={counts.corrupt} isFault />
          <Count name="Unexpected" count={counts.unexpected} isFault />
          <Count name="Duplicate" count={counts.duplicate} isFault />
          <Count name="Reordered" count={counts.reordered} isFault />
          <Count name="Ignored" count={counts.ignored} meaning="no replies: pushes, greetings" />
          <Count name="One way" count={counts.oneWay} meaning="sent, and owed no reply" />
        </dl>
        <div className={styles.matching}>
          <Suspense>
            <MatchingChoice
              matching={matching}
              form={form}
              hasHeard={counts.received > 0}
              onChange={onMatching}
            />
          </Suspense>
        </div>
      </div>

      <div role="group" aria-labelledby={roundTripId} className={styles.roundTrip}>
        <h2 id={roundTripId} className={styles.heading}>
          Round trip
        </h2>
        <dl className={styles.figures}>
          <Figure name="Last" value={millisecondsOrNone(roundTrips?.lastMs)} />
          <Figure name="Median" value={millisecondsOrNone(roundTrips?.medianMs)} />
          <Figure name="Slowest" value={millisecondsOrNone(roundTrips?.slowestMs)} />
        </dl>
        <p className={styles.footnote}>
          {roundTrips !== null && `Over the last ${formatCount(roundTrips.sampleCount)}. `}
          From handing a message to the browser until it hands over the reply; drawing this page
          does not count.
        </p>
      </div>
    </section>
  );
}

interface CountProps {
  name: string;
  count: number;
  isFault?: boolean;
  meaning?: string;
}

function Count({ name, count, isFault = false, meaning }: CountProps) {
  const tone = count === 0 ? 'none' : isFault ? 'bad' : 'plain';
  return <Figure name={name} value={formatCount(count)} tone={tone} meaning={meaning} />;
}

interface FigureProps {
  name: string;
  value: string;
  tone?: 'none' | 'plain' | 'bad';
  meaning?: string | undefined;
}

function Figure(props: FigureProps) {
  return (
    <div className={styles.figure} data-tone={props.tone ?? 'plain'} title={props.meaning}>
      <dt>{props.name}</dt>
      <dd>{props.value}</dd>
    </div>
  );
}

function millisecondsOrNone(durationMs: number | undefined): string {
  return durationMs === undefined ? '–' : formatMilliseconds(durationMs);
}
