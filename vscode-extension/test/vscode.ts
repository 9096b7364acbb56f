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

export class Disposable {
  constructor(readonly dispose: () => void) {}
  static from(...several: { dispose: () => unknown }[]): Disposable {
    return new Disposable(() => several.forEach((one) => one.dispose()));
  }
}

/** Who listens, and how to tell them. */
function event<T>(): [(listener: (said: T) => void) => Disposable, (said: T) => void] {
  const listeners = new Set<(said: T) => void>();
  const subscribe = (listener: (said: T) => void) => {
    listeners.add(listener);
    return new Disposable(() => listeners.delete(listener));
  };
  return [subscribe, (said) => listeners.forEach((listener) => listener(said))];
}

const [onDidChangeDiagnostics, changeDiagnostics] = event<{ uris: object[] }>();
const [onDidChangeActiveTextEditor, activate] = event<object | undefined>();

export const DiagnosticSeverity = { Error: 0, Warning: 1, Information: 2, Hint: 3 };

export const languages = {
  diagnostics: [] as object[],
  getDiagnostics: () => languages.diagnostics,
  onDidChangeDiagnostics,
  change: (uris: object[]) => changeDiagnostics({ uris }),
};

export const window = {
  activeTextEditor: undefined as object | undefined,
  onDidChangeActiveTextEditor,
  activate,
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
