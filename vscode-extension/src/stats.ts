/** What became of suggestions: counts by day, kept on this machine only. */

/** Upper bounds in milliseconds of the latency histogram of suggestions; a last bin takes the rest. */
export const LATENCY_BOUNDS: readonly number[] = [50, 100, 150, 200, 300, 400, 600, 800, 1200, 2000, 4000];

export interface Day {
  requests: number;
  shown: number;
  accepted: number;
  /** Accepted by word or line. */
  partly: number;
  acceptedCharacters: number;
  /** Of the accepted ones, how many were looked at again after 30 seconds, and how many were still there. */
  checked: number;
  retained: number;
  /** One count a bin of `LATENCY_BOUNDS`, and the rest. */
  latency: number[];
}

export type Days = Record<string, Day>;

/** Where the counts are kept: VS Code's `Memento`. */
export interface Store {
  get(key: string): Days | undefined;
  update(key: string, value: Days | undefined): PromiseLike<void>;
}

const KEY = "dsassist.statistics";
const KEPT_DAYS = 90;
const WRITE_DELAY = 5_000;

export function emptyDay(): Day {
  return {
    requests: 0, shown: 0, accepted: 0, partly: 0, acceptedCharacters: 0, checked: 0, retained: 0,
    latency: new Array<number>(LATENCY_BOUNDS.length + 1).fill(0),
  };
}

export class Statistics {
  private days: Days;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly store: Store,
    private readonly enabled: () => boolean,
    private readonly now: () => Date = () => new Date(),
  ) {
    this.days = store.get(KEY) ?? {};
  }

  /** Count something today. */
  count(change: (day: Day) => void): void {
    if (!this.enabled()) return;
    const key = dayOf(this.now());
    change((this.days[key] ??= emptyDay()));
    this.timer ??= setTimeout(() => void this.flush(), WRITE_DELAY);
  }

  /** A request was answered, after so many milliseconds if it brought a suggestion. */
  asked(milliseconds: number | undefined): void {
    this.count((day) => {
      day.requests++;
      if (milliseconds === undefined) return;
      const bin = LATENCY_BOUNDS.findIndex((bound) => milliseconds <= bound);
      const index = bin < 0 ? LATENCY_BOUNDS.length : bin;
      day.latency[index] = (day.latency[index] ?? 0) + 1;
    });
  }

  read(): Days {
    return structuredClone(this.days);
  }

  async delete(): Promise<void> {
    this.days = {};
    clearTimeout(this.timer);
    this.timer = undefined;
    await this.store.update(KEY, undefined);
  }

  async flush(): Promise<void> {
    clearTimeout(this.timer);
    this.timer = undefined;
    const recent = Object.keys(this.days).sort().slice(-KEPT_DAYS);
    this.days = Object.fromEntries(recent.map((key) => [key, this.days[key] ?? emptyDay()]));
    await this.store.update(KEY, this.days);
  }
}

/** The user's day, as `2026-03-01`. */
function dayOf(date: Date): string {
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}

export function total(days: Days): Day {
  const sum = emptyDay();
  for (const day of Object.values(days)) {
    for (const key of ["requests", "shown", "accepted", "partly", "acceptedCharacters", "checked", "retained"] as const) {
      sum[key] += day[key];
    }
    day.latency.forEach((count, index) => (sum.latency[index] = (sum.latency[index] ?? 0) + count));
  }
  return sum;
}

/** The upper bound of the bin in which the quantile lies: a number of milliseconds, or undefined without requests. */
export function quantile(latency: readonly number[], share: number): number | undefined {
  const all = latency.reduce((sum, count) => sum + count, 0);
  if (all === 0) return undefined;
  let seen = 0;
  for (const [index, count] of latency.entries()) {
    seen += count;
    if (seen >= share * all) return LATENCY_BOUNDS[index] ?? Infinity;
  }
  return Infinity;
}
