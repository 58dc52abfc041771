import {
  addFault,
  changeFault,
  type Fault,
  type FaultKinds,
  moveFault,
  parseFaults,
  problemOf,
  writeFaults,
} from './fault-list';

/** Why the server has not taken the faults; `at` is which of them is wrong, if one is. */
export interface Refusal {
  readonly message: string;
  readonly at: number | null;
}

/** The faults of a proxy as they hold, and as one is about to have them. */
export interface FaultDesk {
  /** As the server has them. */
  readonly held: string;
  /** Snapshots that may still tell of what held before: they were on their way. */
  readonly late: number;
  /** What one has changed and not applied; `null` while that is nothing. */
  readonly draft: readonly Fault[] | null;
  /** What held before each change from here, the last one last. */
  readonly past: readonly string[];
  readonly refusal: Refusal | null;
}

export type DeskAction =
  /** A snapshot of the server has come. */
  | { readonly type: 'told'; readonly held: string }
  | { readonly type: 'add'; readonly name: string }
  | { readonly type: 'remove'; readonly key: number }
  | { readonly type: 'move'; readonly key: number; readonly by: number }
  | { readonly type: 'change'; readonly key: number; readonly to: Partial<Fault> }
  | { readonly type: 'discard' }
  /** The server has taken these. */
  | { readonly type: 'applied'; readonly held: string; readonly isUndo: boolean }
  | { readonly type: 'refused'; readonly refusal: Refusal };

/** A snapshot is at most a second old when it comes, and one may wait behind it. */
const LATE_SNAPSHOTS = 2;
/** More changes than one wants to go back. */
const MOST_PAST = 50;

export function newDesk(held: string): FaultDesk {
  return { held, late: 0, draft: null, past: [], refusal: null };
}

/** The rows to show; `null` where the server has what this page does not know. */
export function rowsOf(desk: FaultDesk, { kinds }: FaultKinds): readonly Fault[] | null {
  return desk.draft ?? parseFaults(desk.held, kinds);
}

/** Whether there is something to apply. */
export function isChanged(desk: FaultDesk, { kinds }: FaultKinds): boolean {
  if (desk.draft === null) return false;
  const held = parseFaults(desk.held, kinds);
  return held === null || writeFaults(held) !== writeFaults(desk.draft);
}

/** What is wrong with each value of a row, by its place; what nobody has found is not there. */
export function problemsOf(fault: Fault, { kinds }: FaultKinds): Readonly<Record<number, string>> {
  const parameters = kinds.find(({ name }) => name === fault.name)?.parameters ?? [];
  const found: Record<number, string> = {};
  for (const [at, parameter] of parameters.entries()) {
    const problem = problemOf(fault.values[at] ?? '', parameter);
    if (problem !== null) found[at] = problem;
  }
  return found;
}

export function deskAfter(desk: FaultDesk, action: DeskAction, known: FaultKinds): FaultDesk {
  const edited = (change: (rows: readonly Fault[]) => readonly Fault[]): FaultDesk => ({
    ...desk,
    draft: change(rowsOf(desk, known) ?? []),
    refusal: null,
  });
  switch (action.type) {
    case 'told':
      if (action.held === desk.held) return desk.late === 0 ? desk : { ...desk, late: 0 };
      if (desk.late > 0) return { ...desk, late: desk.late - 1 };
      return { ...desk, held: action.held };
    case 'add': {
      const kind = known.kinds.find(({ name }) => name === action.name);
      return edited((rows) =>
        kind === undefined || rows.length >= known.most ? rows : addFault(rows, kind),
      );
    }
    case 'remove':
      return edited((rows) => rows.filter(({ key }) => key !== action.key));
    case 'move':
      return edited((rows) => moveFault(rows, action.key, action.by));
    case 'change':
      return edited((rows) => changeFault(rows, action.key, action.to));
    case 'discard':
      return { ...desk, draft: null, refusal: null };
    case 'applied': {
      const { held } = action;
      const past = action.isUndo
        ? desk.past.slice(0, -1)
        : desk.held === held
          ? desk.past
          : [...desk.past, desk.held].slice(-MOST_PAST);
      return { held, late: LATE_SNAPSHOTS, draft: null, past, refusal: null };
    }
    case 'refused':
      return { ...desk, refusal: action.refusal };
  }
}
