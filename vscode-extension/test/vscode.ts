/** The few parts of VS Code's API that the tested modules touch, in memory. */

type Listener = (event: unknown) => void;

export const testing = {
  /** Values by dotted name under `dsassist`; `set` ones count as set by the user. */
  configuration: new Map<string, unknown>(),
  set: new Set<string>(),
  changeListeners: new Set<Listener>(),
  documents: [] as unknown[],
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
