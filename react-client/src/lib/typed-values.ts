/**
 * Reads values as users type them: durations, sizes, counts, rates. What is good here is good for
 * the server and the generator, and in the same words; `tests/units.json` holds both to it.
 */

/** What a text stands for, or why it stands for nothing. */
export type Typed = { readonly value: number } | { readonly problem: string };

export type TypedKind = 'duration' | 'size' | 'count' | 'rate' | 'whole' | 'processes';

const NUMBER = String.raw`([0-9]+(?:\.[0-9]+)?)`;
const DURATION = new RegExp(`^${NUMBER}(ms|s|m|h)$`);
const SIZE = new RegExp(`^${NUMBER}(B|KiB|MiB|GiB)?$`);
const COUNT = new RegExp(`^${NUMBER}([km])?$`);
const RATE = new RegExp(`^${NUMBER}([km])?/(s|m|h)$`);
const WHOLE = /^-?[0-9]{1,18}$/;
const PROCESSES = /^(?:auto|[0-9]{1,18})$/;

const SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };
const BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};
const TIMES: Readonly<Record<string, number>> = { k: 1_000, m: 1_000_000 };
const MAX_PROCESSES = 256;

interface Kind {
  /** What is said of a text that is none. */
  readonly hint: string;
  /** NaN where it is none. */
  readonly read: (text: string) => number;
}

const KINDS: Readonly<Record<TypedKind, Kind>> = {
  duration: {
    hint: 'is not a duration: write it like 250ms, 10s, 2m or 1h',
    read: (text) => {
      if (text === '0') return 0;
      const [, amount, unit] = DURATION.exec(text) ?? [];
      return Number(amount) * times(SECONDS, unit);
    },
  },
  size: {
    hint: 'is not a size: write it like 512, 64KiB or 1MiB',
    read: (text) => {
      const [, amount, unit] = SIZE.exec(text) ?? [];
      return whole(Number(amount) * times(BYTES, unit));
    },
  },
  count: {
    hint: 'is not a count: write it like 10000, 10k or 1m',
    read: (text) => {
      const [, amount, unit] = COUNT.exec(text) ?? [];
      return whole(Number(amount) * times(TIMES, unit));
    },
  },
  rate: {
    hint: 'is not a rate: write it like 100/s, 0.5/s or 30/m',
    read: (text) => {
      const [, amount, unit, per] = RATE.exec(text) ?? [];
      return (Number(amount) * times(TIMES, unit)) / times(SECONDS, per);
    },
  },
  whole: {
    hint: 'is not a whole number',
    // Without the sign of -0, which no reader means.
    read: (text) => (WHOLE.test(text) ? Number(text) + 0 : NaN),
  },
  processes: {
    hint: `is neither auto nor a number from 1 to ${String(MAX_PROCESSES)}`,
    read: (text) => {
      if (!PROCESSES.test(text)) return NaN;
      // How many there are is for the machine to say on which they run.
      const count = text === 'auto' ? 1 : Number(text);
      return count >= 1 && count <= MAX_PROCESSES ? count : NaN;
    },
  },
};

/** Reads a text as a value of a kind: seconds, bytes, a number, or a number a second. */
export function readTyped(kind: TypedKind, text: string): Typed {
  const { hint, read } = KINDS[kind];
  const value = read(text);
  return Number.isNaN(value) ? { problem: `‘${text}’ ${hint}` } : { value };
}

/** By what a unit multiplies; a text without one is as it stands. */
function times(units: Readonly<Record<string, number>>, unit: string | undefined): number {
  return unit === undefined ? 1 : (units[unit] ?? NaN);
}

function whole(value: number): number {
  return Number.isInteger(value) ? value : NaN;
}
