export type ChartColour = 'teal' | 'blue' | 'amber' | 'rose' | 'grey' | 'bad';

/** A line of a chart: one column of its series. */
export interface ChartLine {
  readonly label: string;
  readonly colour: ChartColour;
  /** `dots` for what happens now and then; `dashed` for the second of two runs. */
  readonly style?: 'line' | 'area' | 'dots' | 'dashed';
  /** Drawn under the other lines: a maximum hides no percentile that comes up to it. */
  readonly isBeneath?: boolean;
}

/** A line straight across: what a figure should not exceed, or what it was to reach. */
export interface ChartLimit {
  readonly label: string;
  readonly value: number;
  readonly colour?: 'bad' | 'grey';
}

/** A moment, or another place of the horizontal axis, with what happened there. */
export interface ChartMark {
  readonly at: number;
  readonly label: string;
}

/** What the horizontal axis means: time of day, seconds since a start, or a percentile. */
export type ChartAxis = 'clock' | 'elapsed' | 'percentile';
