/** Ticks the steps of the walkthrough, and opens it. */

import * as vscode from "vscode";

/** The steps, as `package.json` names their context keys: `dsassist.done.<step>`. */
export const STEPS = ["server", "model", "suggestion", "map", "tests", "menu"] as const;
export type StepName = (typeof STEPS)[number];

const KEY = "dsassist.done";
/** What VS Code takes to read a walkthrough that it opens for the first time. */
const READING = 700;

export interface Memory {
  get(key: string): string[] | undefined;
  update(key: string, value: string[]): PromiseLike<void>;
}

export class Walkthrough {
  private readonly told = new Set<StepName>();

  constructor(
    private readonly memory: Memory,
    private readonly setContext: (key: string, value: boolean) => PromiseLike<unknown>,
    private readonly show: () => PromiseLike<unknown>,
    private readonly wait: (milliseconds: number) => Promise<void> = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
  ) {}

  static in(context: vscode.ExtensionContext): Walkthrough {
    return new Walkthrough(
      context.globalState,
      (key, value) => vscode.commands.executeCommand("setContext", key, value),
      () => vscode.commands.executeCommand("workbench.action.openWalkthrough", `${context.extension.id}#start`, false),
    );
  }

  /** The user got so far. */
  reached(step: StepName): void {
    if (this.told.has(step)) return;
    this.told.add(step);
    const done = this.memory.get(KEY) ?? [];
    if (!done.includes(step)) void this.memory.update(KEY, [...done, step]);
    void this.setContext(`${KEY}.${step}`, true);
  }

  /**
   * VS Code ticks a step when its key becomes true, and only if it had read the walkthrough by then, which it does when one is
   * first opened. So the keys are lowered before and raised after.
   */
  async open(): Promise<void> {
    for (const step of STEPS) await this.setContext(`${KEY}.${step}`, false);
    await this.show();
    await this.wait(READING);
    for (const step of STEPS) if (this.told.has(step) || this.memory.get(KEY)?.includes(step)) await this.setContext(`${KEY}.${step}`, true);
  }
}
