import type { ReactNode } from 'react';

import { PopButton } from '../../components/pop-button';
import styles from './log-bar.module.css';

interface LogBarProps {
  /** How much there is and what of it is shown. */
  summary: string;
  isFiltering: boolean;
  isPaused: boolean;
  isCharting: boolean;
  onFilter: () => void;
  onPause: () => void;
  onChart: () => void;
  /** What is rarer. */
  menu: (close: () => void) => ReactNode;
}

/** What is shown of the log, and the tools to change that. */
export function LogBar(props: LogBarProps) {
  const { summary, isFiltering, isPaused, isCharting, menu } = props;
  return (
    <div className={styles.bar} role="group" aria-label="Log">
      <p className={styles.summary}>{summary}</p>
      <Toggle name="Filter" isOn={isFiltering} shortcut="filter" onPress={props.onFilter} />
      <Toggle name="Pause" isOn={isPaused} shortcut="pause" onPress={props.onPause} />
      <Toggle name="Latency" isOn={isCharting} onPress={props.onChart} />
      <PopButton label="More for the log" caption="More" className={styles.tool}>
        {menu}
      </PopButton>
    </div>
  );
}

function Toggle(props: { name: string; isOn: boolean; shortcut?: string; onPress: () => void }) {
  return (
    <button
      type="button"
      className={styles.tool}
      aria-pressed={props.isOn}
      data-shortcut={props.shortcut}
      onClick={props.onPress}
    >
      {props.name}
    </button>
  );
}
