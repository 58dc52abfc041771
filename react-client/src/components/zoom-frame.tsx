import type { KeyboardEvent, ReactNode } from 'react';

import { type AxisRange, moved, scaled } from '../lib/zoom-range';

interface ZoomFrameProps {
  className: string | undefined;
  /** Of the chart. */
  title: string;
  /** What the chart shows of the whole, and how to show another part; `null`: it has no parts. */
  zoom: {
    readonly range: AxisRange | null;
    readonly show: (range: AxisRange | null) => void;
  } | null;
  whole: AxisRange;
  /** What is under the pointer, around which to zoom. */
  at: number | undefined;
  children: ReactNode;
}

/** What each key makes of the range. */
const KEYS: Readonly<
  Record<string, (range: AxisRange, whole: AxisRange, at?: number) => AxisRange | null>
> = {
  '+': (range, whole, at) => scaled(range, whole, 0.5, at),
  '=': (range, whole, at) => scaled(range, whole, 0.5, at),
  '-': (range, whole, at) => scaled(range, whole, 2, at),
  ArrowLeft: (range, whole) => moved(range, whole, -0.25),
  ArrowRight: (range, whole) => moved(range, whole, 0.25),
  Home: (range, whole) => moved(range, whole, -Infinity),
  End: (range, whole) => moved(range, whole, Infinity),
};

/** Around a chart: by its keys a part of the chart is looked at, and then another. */
export function ZoomFrame({ className, title, zoom, whole, at, children }: ZoomFrameProps) {
  if (zoom === null) return <div className={className}>{children}</div>;
  const press = (event: KeyboardEvent) => {
    const change = KEYS[event.key];
    if (change === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const isMove = event.key.length > 1;
    // All of it leaves nothing to move: the keys are the page's then.
    if (isMove && zoom.range === null) return;
    event.preventDefault();
    zoom.show(change(zoom.range ?? whole, whole, at));
  };
  return (
    // What has keys of its own is an application to those who hear the page.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions
    <div
      className={className}
      data-zoomable=""
      role="application"
      aria-label={`Part of ${title}: plus and minus zoom, arrow keys move on, Escape shows all`}
      // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
      tabIndex={0}
      onKeyDown={press}
    >
      {children}
    </div>
  );
}
