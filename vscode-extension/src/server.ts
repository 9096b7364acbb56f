/** The life of the language server: find a Python, shake hands, start, start again with back-off, stop. */

import * as fs from "node:fs/promises";
import * as vscode from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  MessageType,
  ShowMessageNotification,
  State,
  type LanguageClientOptions,
  type Middleware,
  type ServerOptions,
  type ShowMessageParams,
} from "vscode-languageclient/node";
import { Backoff } from "./backoff";
import { explicitSettings, get, SECTION } from "./config";
import { interpreter as pythonExtensionInterpreter } from "./pythonExtension";
import { STATUS, type Status } from "./protocol";
import { find, pathCandidates, type Candidate, type Finding } from "./python";
import { run } from "./run";
import { misfit } from "./version";
import type { Life } from "./view";

/** Nothing pops up from inside the client: this class decides what the user is told. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }

  /** Ends a process that did not answer: the client itself stops only what has started. */
  kill(): void {
    this.serverProcess?.kill("SIGKILL");
  }
}

const START_TIMEOUT = 30_000;

export interface Hooks {
  middleware: Middleware;
  /** What was found is not enough to start. */
  helpless(finding: Exclude<Finding, { kind: "found" }>): void;
  /** Started too often in a row. */
  gaveUp(message: string): void;
}

export class Server implements vscode.Disposable {
  private client: QuietClient | undefined;
  private readonly backoff = new Backoff();
  private timer: NodeJS.Timeout | undefined;
  /** Starts are numbered: what an old one says late is not listened to. */
  private generation = 0;
  private lives: Life = { kind: "starting" };
  private readonly changed = new vscode.EventEmitter<Life>();
  readonly onDidChange = this.changed.event;
  /** The interpreter in use, for the terminal commands. */
  python: string | undefined;

  constructor(
    private readonly context: vscode.ExtensionContext,
    private readonly log: vscode.LogOutputChannel,
    private readonly hooks: Hooks,
  ) {}

  get life(): Life {
    return this.lives;
  }

  get running(): LanguageClient | undefined {
    return this.client?.state === State.Running ? this.client : undefined;
  }

  /** Whether the running server answers this command. */
  hasCommand(command: string): boolean {
    return this.running?.initializeResult?.capabilities.executeCommandProvider?.commands.includes(command) ?? false;
  }

  set(life: Life): void {
    this.lives = life;
    this.changed.fire(life);
  }

  setStatus(status: Status): void {
    if (this.running) this.set({ kind: "running", status, working: this.lives.kind === "running" && this.lives.working });
  }

  setWorking(working: boolean): void {
    if (this.lives.kind === "running" && this.lives.working !== working) this.set({ ...this.lives, working });
  }

  /** Begin anew because the user, or a changed setting, asks. */
  async restart(): Promise<void> {
    this.backoff.reset();
    await this.stop();
    await this.start();
  }

  async start(): Promise<void> {
    const generation = ++this.generation;
    clearTimeout(this.timer);
    this.set({ kind: "starting" });
    const finding = await find(await this.candidates(), run, (line) => this.log.info(line));
    if (generation !== this.generation) return;
    if (finding.kind !== "found") {
      this.hooks.helpless(finding);
      return;
    }
    this.python = finding.probe.executable;
    await fs.mkdir(this.context.globalStorageUri.fsPath, { recursive: true });
    await this.launch(finding.probe.executable, generation);
  }

  private async launch(python: string, generation: number): Promise<void> {
    const client = this.create(python, generation);
    this.client = client;
    client.onNotification(STATUS, (status: Status) => this.setStatus(status));
    try {
      await withTimeout(client.start(), START_TIMEOUT);
    } catch (error) {
      this.log.error(`The language server did not start: ${String(error)}`);
      client.kill();
      if (generation === this.generation) this.died(generation);
      return;
    }
    if (generation !== this.generation) {
      await client.stop().catch(() => undefined);
      return;
    }
    const version = client.initializeResult?.serverInfo?.version ?? "";
    const problem = misfit(version);
    if (problem) {
      await this.stop();
      this.hooks.helpless({
        kind: "misfit",
        ...problem,
        probe: { candidate: { command: python, origin: "PATH" }, executable: python, python: [3, 11], dsassist: version },
      });
      return;
    }
    this.backoff.started();
    client.onNotification(ShowMessageNotification.type, (params) => this.say(params));
    this.log.info(`dsassist ${version} runs`);
    this.set({ kind: "running", status: undefined, working: false });
    const status = await client.sendRequest<Status>(STATUS).catch(() => undefined);
    if (status && this.running === client) this.setStatus(status);
  }

  /** What the server wants said. That there is no model is said by us, with a button to download one. */
  private say({ type, message }: ShowMessageParams): void {
    const status = this.lives.kind === "running" ? this.lives.status : undefined;
    if (status?.state === "no_model" && message === [status.message, status.remedy].join(" ").trim()) return;
    if (type === MessageType.Error) void this.withLog(vscode.window.showErrorMessage(message, "Show Log"));
    else if (type === MessageType.Warning) void this.withLog(vscode.window.showWarningMessage(message, "Show Log"));
    else void vscode.window.showInformationMessage(message);
  }

  private async withLog(choice: Thenable<string | undefined>): Promise<void> {
    if (await choice) this.log.show();
  }

  private died(generation: number): void {
    if (generation !== this.generation) return;
    this.client = undefined;
    const delay = this.backoff.died();
    if (delay === undefined) {
      const message = `dsassist's language server stopped ${this.backoff.count} times in a row and is not started again.`;
      this.set({ kind: "failed", message: `${message} The log says why.` });
      this.hooks.gaveUp(message);
      return;
    }
    this.log.warn(`The language server stopped; it is started again in ${delay} ms`);
    this.set({ kind: "restarting", seconds: delay / 1000 });
    this.timer = setTimeout(() => void this.start(), delay);
  }

  private create(python: string, generation: number): QuietClient {
    const server: ServerOptions = {
      command: python,
      args: ["-I", "-m", "dsassist", "lsp"],
      // a folder of our own: a workspace must not decide what a child process finds beside it
      options: { cwd: this.context.globalStorageUri.fsPath, env: { ...process.env, PYTHONUNBUFFERED: "1" } },
    };
    const options: LanguageClientOptions = {
      documentSelector: [{ scheme: "file" }, { scheme: "untitled" }, { notebook: "*", scheme: "file" }],
      initializationOptions: explicitSettings(this.context.extension.packageJSON),
      outputChannel: this.log,
      middleware: {
        ...this.hooks.middleware,
        workspace: {
          ...this.hooks.middleware.workspace,
          configuration: (params, token, next) =>
            params.items.every((item) => item.section === SECTION)
              ? params.items.map(() => explicitSettings(this.context.extension.packageJSON))
              : next(params, token),
        },
      },
      initializationFailedHandler: () => false,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          if (this.lives.kind === "running") setImmediate(() => this.died(generation));
          return { action: CloseAction.DoNotRestart, handled: true };
        },
      },
    };
    return new QuietClient(SECTION, "dsassist", server, options);
  }

  private async candidates(): Promise<Candidate[]> {
    const set = get("extension.python", "").trim();
    if (set) return [{ command: expand(set), origin: "setting" }];
    const found: Candidate[] = [{ command: privatePython(this.context), origin: "private environment" }];
    if (vscode.workspace.isTrusted) {
      const theirs = await pythonExtensionInterpreter();
      if (theirs) found.push({ command: theirs, origin: "Python extension" });
    }
    return [...found, ...pathCandidates(process.platform)];
  }

  async stop(): Promise<void> {
    this.generation++;
    clearTimeout(this.timer);
    const client = this.client;
    this.client = undefined;
    if (client?.needsStop()) await client.stop().catch((error: unknown) => this.log.warn(String(error)));
  }

  dispose(): void {
    void this.stop();
    this.changed.dispose();
  }
}

/** Where the extension's own environment has its interpreter. */
export function privatePython(context: vscode.ExtensionContext): string {
  const parts = process.platform === "win32" ? ["venv", "Scripts", "python.exe"] : ["venv", "bin", "python"];
  return vscode.Uri.joinPath(context.globalStorageUri, ...parts).fsPath;
}

function expand(path: string): string {
  return path.startsWith("~/") ? `${process.env.HOME ?? "~"}${path.slice(1)}` : path;
}

async function withTimeout<T>(work: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
