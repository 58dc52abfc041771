import type { ReactNode, RefObject } from 'react';

import button from '../../components/button.module.css';
import { PopButton } from '../../components/pop-button';
import { usePartName } from '../../lib/part-name';
import styles from './log-bar.module.css';

interface LogBarProps {
  /** How much there is and what of it is shown. */
  summary: string;
  isFiltering: boolean;
  filterButton: RefObject<HTMLButtonElement | null>;
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
  const { summary, isFiltering, filterButton, isPaused, isCharting, menu } = props;
  const { onFilter, onPause, onChart } = props;
  return (
    <div className={styles.bar} role="group" aria-label={usePartName('Log')}>
      <p className={styles.summary}>{summary}</p>
      <Toggle
        ref={filterButton}
        name="Filter"
        isOn={isFiltering}
        shortcut="filter"
        onPress={onFilter}
      />
      <Toggle name="Pause" isOn={isPaused} shortcut="pause" onPress={onPause} />
      <Toggle name="Latency" isOn={isCharting} onPress={onChart} />
      <PopButton label="More for the log" caption="More" className={button.tool}>
        {menu}
      </PopButton>
    </div>
  );
}

interface ToggleProps {
  ref?: RefObject<HTMLButtonElement | null>;
  name: string;
  isOn: boolean;
  shortcut?: string;
  onPress: () => void;
}

function Toggle({ ref, name, isOn, shortcut, onPress }: ToggleProps) {
  return (
    <button
      ref={ref}
      type="button"
      className={button.tool}
      aria-pressed={isOn}
      data-shortcut={shortcut}
      onClick={onPress}
    >
      {name}
    </button>
  );
}
