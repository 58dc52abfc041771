import { formatCount, formatMilliseconds, formatRate, formatShare } from '../../lib/figures';
import { isKnownWell } from './known-well';
import type { RunReport, Summary } from './run-report';
import { sum } from './run-figures';

export interface ComparedFigure {
  readonly name: string;
  readonly first: string;
  readonly second: string;
  /** Of the second against the first, such as 0.25 for a quarter more; `null` where that says nothing. */
  readonly change: number | null;
  readonly tone: 'plain' | 'good' | 'bad';
}

interface Measure {
  readonly name: string;
  readonly read: (report: RunReport) => number | null;
  /** Whether the figure is of enough values to be judged; it is, if left out. */
  readonly isSure?: (report: RunReport) => boolean;
  readonly format: (figure: number) => string;
  /** What is better: more, less, or neither. */
  readonly better: 'more' | 'less' | 'neither';
}

/** Changes below this are not worth a colour: two runs of one plan differ by as much. */
const WORTH_A_COLOUR = 0.1;

const latency = (name: string, of: 'intended' | 'service', figure: keyof Summary): Measure => ({
  name,
  read: ({ latency: { [of]: summary } }) => (summary.count > 0 ? summary[figure] : null),
  isSure: ({ latency: { [of]: summary } }) => isKnownWell(summary, figure),
  format: formatMilliseconds,
  better: 'less',
});

const MEASURES: readonly Measure[] = [
  latency('Latency p50', 'intended', 'p50'),
  latency('Latency p99', 'intended', 'p99'),
  latency('Latency p99.9', 'intended', 'p999'),
  latency('Latency max', 'intended', 'max'),
  latency('Service time p99', 'service', 'p99'),
  {
    name: 'Replies a second',
    read: ({ messages }) => messages.received_per_s,
    format: formatRate,
    better: 'more',
  },
  {
    name: 'Connect time p99',
    read: ({ connections: { connect_ms } }) => (connect_ms.count > 0 ? connect_ms.p99 : null),
    format: formatMilliseconds,
    better: 'less',
  },
  {
    name: 'Opened',
    read: ({ connections }) => connections.opened,
    format: formatCount,
    better: 'neither',
  },
  {
    name: 'Failed to open',
    read: ({ connections }) => sum(connections.failed),
    format: formatCount,
    better: 'less',
  },
  {
    name: 'Messages that went wrong',
    read: ({ messages: { lost, corrupt, reordered, duplicate, unexpected } }) =>
      lost + corrupt + reordered + duplicate + unexpected,
    format: formatCount,
    better: 'less',
  },
  {
    name: 'Generator’s CPU',
    read: ({ generator }) => generator.cpu_share,
    format: formatShare,
    better: 'neither',
  },
];

/** What changed from one run to another. */
export function compareRuns(first: RunReport, second: RunReport): ComparedFigure[] {
  return MEASURES.map(({ name, read, isSure = () => true, format, better }) => {
    const [a, b] = [read(first), read(second)];
    const change = a === null || b === null || a === 0 ? null : (b - a) / a;
    const grew = a !== null && b !== null ? b - a : 0;
    const areSure = isSure(first) && isSure(second);
    const isWorth = a !== null && b !== null && Math.abs(grew) > WORTH_A_COLOUR * Math.abs(a);
    const isBetter = better === 'more' ? grew > 0 : grew < 0;
    return {
      name,
      first: a === null ? '–' : format(a),
      second: b === null ? '–' : format(b),
      change,
      tone: !areSure || !isWorth || better === 'neither' ? 'plain' : isBetter ? 'good' : 'bad',
    };
  });
}

/** `+25 %`, `−3.1 %`, `±0 %`. */
export function formatChange(change: number): string {
  const size = formatShare(Math.abs(change));
  return Math.abs(change) < 0.0005 ? `±${formatShare(0)}` : `${change > 0 ? '+' : '−'}${size}`;
}
