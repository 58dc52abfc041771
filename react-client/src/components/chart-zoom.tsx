import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react';

import { formatDuration } from '../lib/figures';
import type { AxisRange } from '../lib/zoom-range';
import button from './button.module.css';
import { AXES } from './chart-axes';
import type { ChartAxis } from './chart-kinds';
import styles from './chart-zoom.module.css';

/** The range that charts share; `null` while they show all. */
interface Zoom {
  readonly axis: ChartAxis;
  readonly range: AxisRange | null;
  readonly show: (range: AxisRange | null) => void;
}

const Shared = createContext<Zoom | null>(null);

interface ZoomedChartsProps {
  /** The charts with this axis share the range. */
  axis: Exclude<ChartAxis, 'percentile'>;
  children: ReactNode;
}

/** Charts of which a part can be looked at: a range that is dragged in one is shown by all. */
export function ZoomedCharts({ axis, children }: ZoomedChartsProps) {
  const [range, setRange] = useState<AxisRange | null>(null);
  const zoom = useMemo(() => ({ axis, range, show: setRange }), [axis, range]);
  useEffect(() => {
    if (range === null) return;
    const reset = ({ key, target, isComposing }: KeyboardEvent) => {
      if (key !== 'Escape' || isComposing || isSpokenFor(target)) return;
      setRange(null);
    };
    document.addEventListener('keydown', reset);
    return () => document.removeEventListener('keydown', reset);
  }, [range]);
  return (
    <Shared value={zoom}>
      <div className={styles.bar}>
        <p className={styles.range} role="status">
          {range === null ? (
            'Drag across a chart to look at a part of it, or press + on one.'
          ) : (
            <>
              All charts show{' '}
              <strong>
                {AXES[axis].format(range[0])} to {AXES[axis].format(range[1])}
              </strong>
              , {formatDuration(Math.round(range[1] - range[0]))}
            </>
          )}
        </p>
        {range !== null && (
          <button type="button" className={button.smallQuiet} onClick={() => setRange(null)}>
            Show all
          </button>
        )}
      </div>
      {children}
    </Shared>
  );
}

/** Whether Escape means something else there: in a field, or to a panel that is open. */
function isSpokenFor(target: EventTarget | null): boolean {
  return (
    (target instanceof Element &&
      target.closest('input, textarea, select, [role=dialog]') !== null) ||
    document.querySelector('[role=dialog]') !== null
  );
}

/** The shared range of charts with this axis; `null` where there is no such thing. */
export function useZoom(axis: ChartAxis): Zoom | null {
  const zoom = useContext(Shared);
  return zoom?.axis === axis ? zoom : null;
}
