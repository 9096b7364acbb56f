/** The few parts of VS Code's API that the tested modules touch, in memory. */

type Listener = (event: unknown) => void;

interface Progress {
  title: string;
  reports: { message?: string; increment?: number }[];
  cancel: () => void;
  ended: boolean;
}

export const testing = {
  /** Values by dotted name under `dsassist`; `set` ones count as set by the user. */
  configuration: new Map<string, unknown>(),
  set: new Set<string>(),
  changeListeners: new Set<Listener>(),
  documents: [] as unknown[],
  commands: new Map<string, () => unknown>(),
  messages: [] as string[],
  executed: [] as unknown[][],
  progress: [] as Progress[],
  extensions: new Map<string, unknown>(),
  items: [] as { text: string; tooltip: string; command: string; shown: boolean }[],
};

export const workspace = {
  isTrusted: true,
  get textDocuments() {
    return testing.documents;
  },
  getConfiguration: () => ({
    get: (name: string, fallback?: unknown) => testing.configuration.get(name) ?? fallback,
    inspect: (name: string) => ({ globalValue: testing.set.has(name) ? testing.configuration.get(name) : undefined }),
  }),
  onDidChangeTextDocument: (listener: Listener) => {
    testing.changeListeners.add(listener);
    return { dispose: () => testing.changeListeners.delete(listener) };
  },
};

export const InlineCompletionTriggerKind = { Invoke: 0, Automatic: 1 };

export class Range {
  constructor(
    readonly start: unknown,
    readonly end: unknown,
  ) {}
}

export const StatusBarAlignment = { Left: 1, Right: 2 };

export const window = {
  createStatusBarItem: () => {
    const item = { text: "", tooltip: "", command: "", shown: false, show: () => (item.shown = true), dispose: () => undefined };
    testing.items.push(item);
    return item;
  },
  withProgress: async (options: { title: string }, work: (progress: object, token: object) => Promise<void>) => {
    let cancel: () => void = () => undefined;
    const shown: Progress = { title: options.title, reports: [], cancel: () => cancel(), ended: false };
    testing.progress.push(shown);
    await work({ report: (value: object) => shown.reports.push(value) }, { onCancellationRequested: (listener: () => void) => (cancel = listener) });
    shown.ended = true;
  },
  showInformationMessage: async (message: string) => void testing.messages.push(message),
};

export const extensions = { getExtension: (id: string) => testing.extensions.get(id) };

export const ProgressLocation = { Notification: 15, Window: 10 };

export const commands = {
  executeCommand: async (...call: unknown[]) => void testing.executed.push(call),
  registerCommand: (name: string, run: () => unknown) => {
    testing.commands.set(name, run);
    return { dispose: () => testing.commands.delete(name) };
  },
};
