import { ConsoleProblem } from '../../lib/console-fetch';
import { readEventStream } from '../../lib/event-stream';
import { FrameStore, type Store } from '../../lib/frame-store';
import type { LoadNow } from './load-changes';
import { figuresOfReport, figuresOfSnapshot, type RunFigures } from './run-figures';
import { readReport, readRunSnapshot, type RunReport, type Second } from './run-report';
import {
  annotateRun,
  cancelRun,
  fetchReport,
  listRuns,
  listScenarios,
  type RunSummary,
  startRun,
} from './runs-client';

export interface LoadSnapshot {
  /** Newest first; `null` until the console has said. */
  readonly runs: readonly RunSummary[] | null;
  /** Why the console could not be asked; `null` when it could. */
  readonly problem: string | null;
  readonly shownId: string | null;
  /** What is known of the run shown; `null` until its first snapshot. */
  readonly figures: RunFigures | null;
  /** Whether the console knows no such run. */
  readonly isShownMissing: boolean;
  /** Those that a run may have. */
  readonly scenarios: readonly string[];
}

/** Why a run did not start, and which setting it was. */
export interface StartProblem {
  readonly field: string | null;
  readonly message: string;
}

/** How often the list is looked at again: runs may be started elsewhere, too. */
const REFRESH_MS = 4_000;
const REWATCH_MS = 1_000;

interface SessionOptions {
  /** Where the console's paths begin; by default where the page is. */
  readonly base?: string;
  readonly schedule?: (publish: () => void) => void;
  /** What to add to the server's clock to get this machine's. */
  readonly clockSkewMs?: () => number;
}

/** The console's load runs: those that it remembers, and the one that is looked at. */
export class LoadSession {
  readonly store: Store<LoadSnapshot>;
  readonly #published: FrameStore<LoadSnapshot>;
  readonly #base: string;
  readonly #clockSkewMs: () => number;
  readonly #reports = new Map<string, RunReport>();
  #runs: readonly RunSummary[] | null = null;
  #problem: string | null = null;
  #scenarios: readonly string[] = [];
  #shownId: string | null = null;
  #figures: RunFigures | null = null;
  #isShownMissing = false;
  #watch: AbortController | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #attached = 0;
  #refreshes = 0;
  /** Of those, the one that the list is from. */
  #latestRefresh = 0;

  constructor({ base = '', schedule, clockSkewMs = () => 0 }: SessionOptions = {}) {
    this.#base = base;
    this.#clockSkewMs = clockSkewMs;
    this.#published = new FrameStore(() => this.#snapshot(), schedule);
    this.store = this.#published;
  }

  /** Keeps the list fresh until what it returns is called. A run that is watched goes on. */
  attach(): () => void {
    this.#attached += 1;
    void this.refresh();
    void this.#refreshScenarios();
    this.#timer ??= setInterval(() => void this.refresh(), REFRESH_MS);
    return () => {
      this.#attached -= 1;
      if (this.#attached > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  /** Ends all that it does by itself. */
  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#watch?.abort();
  }

  /** Asks the console for its runs; shows the newest if none is shown. */
  async refresh(): Promise<void> {
    const turn = ++this.#refreshes;
    try {
      const runs = await listRuns(this.#base);
      // One that was asked for later has come before: what this one says is older.
      if (turn < this.#latestRefresh) return;
      this.#latestRefresh = turn;
      this.#runs = runs;
      this.#problem = null;
      // What the console has forgotten is not kept here for ever either.
      const known = new Set(runs.map(({ id }) => id));
      for (const id of this.#reports.keys()) if (!known.has(id)) this.#reports.delete(id);
    } catch (problem) {
      this.#problem = describe(problem);
    }
    // One that a link has named before it was known by which id.
    const linked = this.#runs?.find(({ kept }) => kept !== null && kept === this.#shownId);
    if (linked !== undefined) this.show(linked.id);
    const newest = this.#runs?.[0];
    if (this.#shownId === null && newest !== undefined) this.show(newest.id);
    this.#published.markChanged();
  }

  async #refreshScenarios(): Promise<void> {
    try {
      this.#scenarios = await listScenarios(this.#base);
      this.#published.markChanged();
    } catch {
      // An older console has none; one that does not answer is spoken of by `refresh`.
    }
  }

  /** Starts a run and shows it; settles to what is wrong with it, or to `null`. */
  async start(body: Readonly<Record<string, unknown>>): Promise<StartProblem | null> {
    try {
      const id = await startRun(body, this.#base);
      await this.refresh();
      this.show(id);
      return null;
    } catch (problem) {
      const field = problem instanceof ConsoleProblem ? (problem.field ?? null) : null;
      return { field, message: describe(problem) };
    }
  }

  /** Asks the run to end; it is watched until it has. */
  async cancel(id: string): Promise<string | null> {
    try {
      await cancelRun(id, this.#base);
    } catch (problem) {
      return describe(problem);
    }
    await this.refresh();
    return null;
  }

  /** Gives the run another name and another note. */
  async annotate(
    id: string,
    words: { readonly name: string; readonly note: string },
  ): Promise<string | null> {
    try {
      await annotateRun(id, words, this.#base);
    } catch (problem) {
      return describe(problem);
    }
    await this.refresh();
    return null;
  }

  /** What names the run that is shown in a link: also after a restart, where runs are kept. */
  get shownInLink(): string | null {
    const shown = this.#runs?.find(({ id }) => id === this.#shownId);
    // One of long ago is not in the list, and is known by its number.
    return shown?.kept ?? shown?.id ?? (this.#figures === null ? null : this.#shownId);
  }

  /** @param name its id, or what names it in a link. */
  show(name: string): void {
    const id = this.#runs?.find(({ kept }) => kept === name)?.id ?? name;
    if (this.#shownId === id) return;
    this.#watch?.abort();
    this.#shownId = id;
    this.#isShownMissing = false;
    const report = this.#reports.get(id);
    this.#figures = report === undefined ? null : figuresOfReport(report);
    this.#published.markChanged();
    if (report !== undefined) return;
    const watch = new AbortController();
    this.#watch = watch;
    void this.#follow(id, watch.signal);
  }

  /** The report of a run that is over; `null` if it left none. */
  async report(id: string): Promise<RunReport | null> {
    const known = this.#reports.get(id);
    if (known !== undefined) return known;
    const report = await fetchReport(id, this.#base);
    if (report !== null) this.#reports.set(id, report);
    return report;
  }

  /** Watches until the run is over; a stream that breaks is taken up again. */
  async #follow(id: string, signal: AbortSignal): Promise<void> {
    const isOver = () => signal.aborted || this.#reports.has(id);
    while (!isOver()) {
      try {
        if (await this.#readStream(id, signal)) break;
      } catch (problem) {
        // A console that was started anew does not know the run any more: nothing will come.
        if (problem instanceof ConsoleProblem && problem.status === 404) {
          if (!signal.aborted) this.#isShownMissing = true;
          this.#published.markChanged();
          break;
        }
      }
      if (isOver()) break;
      await new Promise((resolve) => setTimeout(resolve, REWATCH_MS));
    }
    if (!signal.aborted) await this.refresh();
  }

  /** Returns whether the stream came to the run's end. */
  async #readStream(id: string, signal: AbortSignal): Promise<boolean> {
    // It tells all from the run's beginning, each time.
    const series: Second[] = [];
    let beganAtS = Infinity;
    let loadBeganS: number | null = null;
    let isEnded = false;
    await readEventStream(`${this.#base}api/runs/${id}/live`, {
      signal,
      onEvent: ({ type, data }) => {
        const value: unknown = JSON.parse(data);
        const snapshot = readRunSnapshot(value);
        const report = readReport(value);
        if (report !== null) {
          isEnded = true;
          this.#reports.set(id, report);
          this.#figures = figuresOfReport(report);
        } else if (snapshot !== null) {
          series.push(snapshot.second);
          // News travels fast: the earliest that its clock can have begun is when it did. On this
          // machine's clock, for by how much the server's differs may turn out later.
          beganAtS = Math.min(beganAtS, Date.now() / 1000 - snapshot.t_s);
          const startedAtS = beganAtS - this.#clockSkewMs() / 1000;
          const plan = this.#runs?.find((run) => run.id === id)?.plan ?? {};
          if (snapshot.phase === 'load') loadBeganS ??= snapshot.t_s;
          const loadForS = loadBeganS === null ? null : snapshot.t_s - loadBeganS;
          this.#figures = figuresOfSnapshot(snapshot, [...series], { plan, startedAtS, loadForS });
        } else if (type === 'load' && this.#figures !== null) {
          const load = value as LoadNow;
          this.#figures = { ...this.#figures, load, changes: load.changes };
        } else if (type === 'failed' || type === 'report') {
          // None, or none that this page can read: there is nothing to wait for.
          isEnded = true;
        }
        this.#published.markChanged();
      },
    });
    return isEnded;
  }

  #snapshot(): LoadSnapshot {
    return {
      runs: this.#runs,
      problem: this.#problem,
      shownId: this.#shownId,
      figures: this.#figures,
      isShownMissing: this.#isShownMissing,
      scenarios: this.#scenarios,
    };
  }
}

function describe(problem: unknown): string {
  if (problem instanceof ConsoleProblem) return problem.message;
  return 'No console answers: the server is not running, or not the one whose page this is.';
}
