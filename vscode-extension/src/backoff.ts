/** When to start a server again that died. */

export interface BackoffOptions {
  /** Milliseconds before each try; after the last one we give up. */
  delays: readonly number[];
  /** A server that lived so many milliseconds starts a fresh count. */
  healthyAfter: number;
}

export const RESTART: BackoffOptions = { delays: [300, 1_000, 3_000, 8_000, 20_000], healthyAfter: 60_000 };

export class Backoff {
  private tries = 0;
  private startedAt: number | undefined;

  constructor(
    private readonly options: BackoffOptions = RESTART,
    private readonly now: () => number = Date.now,
  ) {}

  /** How often it was started again in this row. */
  get count(): number {
    return this.tries;
  }

  /** The server runs. */
  started(): void {
    this.startedAt = this.now();
  }

  /** It died: milliseconds until the next try, or undefined to give up. */
  died(): number | undefined {
    if (this.startedAt !== undefined && this.now() - this.startedAt >= this.options.healthyAfter) this.tries = 0;
    this.startedAt = undefined;
    return this.options.delays[this.tries++];
  }

  /** The user asked: begin anew. */
  reset(): void {
    this.tries = 0;
    this.startedAt = undefined;
  }
}
