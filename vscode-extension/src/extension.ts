/** Wires the parts together. Activation starts the server and waits for nothing. */

import * as vscode from "vscode";
import { Completion } from "./completion";
import { get } from "./config";
import { tellDiagnostics } from "./diagnostics";
import { Help } from "./help";
import { showMap } from "./map";
import { menu, StatusBar } from "./status";
import { Preview } from "./preview";
import { ACCEPTED_COMMAND, GENERATE_TESTS_COMMAND, PAUSE, type ModelState, type Status } from "./protocol";
import { warn } from "./say";
import { Server } from "./server";
import { Statistics } from "./stats";
import { deleteStatistics, showStatistics } from "./statsPage";
import { TESTED, TestLens } from "./testLens";
import { TestProgress } from "./testProgress";
import { generateTests, mayRun, stopGenerating } from "./tests";
import { Walkthrough } from "./walkthrough";

/** A model is on this machine, or on the server that is asked. */
const HAS_MODEL: ReadonlySet<ModelState> = new Set(["ready", "loading", "stopped"]);

const [SHOW_HELD_BACK, SHOW_LOG] = ["Show What Was Held Back", "Show Log"];

let stop: (() => Promise<void>) | undefined;

export function activate(context: vscode.ExtensionContext): void {
  const log = vscode.window.createOutputChannel("dsassist", { log: true });
  const bar = new StatusBar();
  const preview = new Preview();
  const statistics = new Statistics(context.globalState, () => get<boolean>("extension.statistics", true));
  const walkthrough = Walkthrough.in(context);
  const completion = new Completion(statistics, {
    client: () => server.running,
    paused: () => server.life.kind === "running" && server.life.status?.state === "paused",
    working: (now) => server.setWorking(now),
    accepted: () => walkthrough.reached("suggestion"),
  });
  const testProgress = new TestProgress();
  const help = new Help(context, log, () => server);
  const server: Server = new Server(context, log, {
    middleware: {
      provideInlineCompletionItems: completion.middleware,
      executeCommand: (command, args, next) => {
        if (command === ACCEPTED_COMMAND) completion.acceptedWhole(args[0]);
        if (command === GENERATE_TESTS_COMMAND) {
          if (!mayRun()) return undefined;
          testProgress.file = typeof args[0] === "string" ? args[0] : undefined;
          walkthrough.reached("tests");
        }
        return next(command, args) as unknown;
      },
      handleWorkDoneProgress: testProgress.middleware,
      workspace: {
        handleApplyEdit: async (params) => {
          const client = server.running;
          if (!client) return { applied: false, failureReason: "the server is gone" };
          return preview.offer(await client.protocol2CodeConverter.asWorkspaceEdit(params.edit), params.label ?? "dsassist");
        },
      },
    },
    helpless: (finding) => help.helpless(finding),
    gaveUp: (message) => help.gaveUp(message),
  });
  const lens = new TestLens(server);
  context.subscriptions.push(
    vscode.languages.registerCodeLensProvider(TESTED.map((language) => ({ language, scheme: "file" })), lens),
    log, bar, preview, completion, server,
    tellDiagnostics(() => server.running),
    server.onDidChange((life) => {
      bar.show(life);
      if (life.kind !== "running" || !life.status) lens.refresh();
      if (life.kind !== "running") testProgress.clear();
      const status = life.kind === "running" ? life.status : undefined;
      if (life.kind === "running") walkthrough.reached("server");
      if (status && HAS_MODEL.has(status.state)) walkthrough.reached("model");
      if (status?.state === "no_model") void help.noModel(status);
    }),
    vscode.workspace.onDidGrantWorkspaceTrust(() => void server.restart()),
    vscode.workspace.onDidChangeConfiguration((event) => {
      if (event.affectsConfiguration("dsassist.extension.python")) void server.restart();
    }),
    ...commands(context, log, server, help, completion, statistics, walkthrough),
  );
  stop = async () => {
    await statistics.flush();
    await server.stop();
  };
  if (onlyVirtual()) {
    const message = "This workspace has no files on disk, and dsassist needs them. Clone the repository and open the clone.";
    log.info(message);
    server.set({ kind: "unavailable", message });
    return;
  }
  void server.start();
}

export async function deactivate(): Promise<void> {
  await stop?.();
}

function commands(
  context: vscode.ExtensionContext,
  log: vscode.LogOutputChannel,
  server: Server,
  help: Help,
  completion: Completion,
  statistics: Statistics,
  walkthrough: Walkthrough,
): vscode.Disposable[] {
  const run = (command: string) => vscode.commands.executeCommand(command);
  const table: Record<string, () => unknown> = {
    menu: () => {
      walkthrough.reached("menu");
      return menu(server.life);
    },
    trigger: () => run("editor.action.inlineSuggest.trigger"),
    acceptWord: () => run("editor.action.inlineSuggest.acceptNextWord"),
    acceptLine: () => run("editor.action.inlineSuggest.acceptNextLine"),
    whyNothing: async () => {
      const { reason, message, suppressed } = await completion.whyNothing();
      log.info(`why nothing: ${reason}: ${message}${suppressed ? ` Held back: ${suppressed}` : ""}`);
      const actions = [...(suppressed ? [SHOW_HELD_BACK] : []), SHOW_LOG];
      const choice = await vscode.window.showInformationMessage(reason === "none" ? message : `${message} (${reason})`, ...actions);
      if (choice === SHOW_HELD_BACK) void vscode.window.showInformationMessage("This was held back:", { modal: true, detail: suppressed });
      else if (choice) log.show();
    },
    togglePause: () => togglePause(server),
    generateTestsHere: () => generateTests(server),
    stopTests: () => stopGenerating(server),
    referenceMap: async () => {
      if (await showMap(context, server)) walkthrough.reached("map");
    },
    statistics: () => showStatistics(context, statistics),
    deleteStatistics: () => deleteStatistics(statistics),
    restart: () => server.restart(),
    showLog: () => log.show(),
    doctor: () => help.doctor(),
    selectModel: () => help.selectModel(),
    pullModel: () => help.selectModel(),
    install: () => help.install(),
    walkthrough: () => walkthrough.open(),
  };
  return Object.entries(table).map(([name, handler]) => vscode.commands.registerCommand(`dsassist.${name}`, handler));
}

async function togglePause(server: Server): Promise<void> {
  const client = server.running;
  if (!client) {
    warn("The language server does not run: there is nothing to pause.");
    return;
  }
  const paused = server.life.kind === "running" && server.life.status?.state === "paused";
  server.setStatus(await client.sendRequest<Status>(PAUSE, { paused: !paused }));
}

function onlyVirtual(): boolean {
  const folders = vscode.workspace.workspaceFolders ?? [];
  return folders.length > 0 && folders.every((folder) => folder.uri.scheme !== "file");
}
