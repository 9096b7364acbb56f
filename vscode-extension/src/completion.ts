/** Around each request for a suggestion: asks or refuses, measures, and learns what became of what was shown. */

import * as vscode from "vscode";
import type { LanguageClient, Middleware } from "vscode-languageclient/node";
import { get } from "./config";
import { refuse } from "./gate";
import { DID_ACCEPT, DID_SHOW, WHY_NOTHING, type WhyNothing } from "./protocol";
import type { Statistics } from "./stats";
import { follow, keptShare, step, type Edit, type Shown, type Span } from "./track";

/** An accepted suggestion counts as kept when so much of it is still there after so long. */
const KEPT_SHARE = 0.8;
const LOOK_AGAIN = 30_000;
/** What is replaced sooner than this was not seen: the next key came. It does not count as shown. */
const SEEN = 300;
/** A request shorter than this does not make the status bar spin. */
const NOTICEABLE = 400;

interface Accepted {
  document: vscode.TextDocument;
  text: string;
  span: Span;
}

export interface Environment {
  client(): LanguageClient | undefined;
  paused(): boolean;
  working(now: boolean): void;
  accepted(): void;
}

export class Completion implements vscode.Disposable {
  private refused: WhyNothing | undefined;
  private shown: Shown[] = [];
  private readonly watched = new Set<Accepted>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private inFlight = 0;
  /** Runs while a suggestion is on the screen and not counted yet. */
  private unseen: NodeJS.Timeout | undefined;
  private readonly subscription: vscode.Disposable;

  constructor(
    private readonly statistics: Statistics,
    private readonly environment: Environment,
  ) {
    this.subscription = vscode.workspace.onDidChangeTextDocument((event) => this.edited(event));
  }

  readonly middleware: Middleware["provideInlineCompletionItems"] = async (document, position, context, token, next) => {
    this.refused = refuse({
      manual: context.triggerKind === vscode.InlineCompletionTriggerKind.Invoke,
      language: document.languageId,
      enabled: get<boolean>("completion.enabled", true),
      languagesOff: get<string[]>("completion.languagesOff", []),
      paused: this.environment.paused(),
      lineLength: document.lineAt(position).text.length,
    });
    if (this.refused || !live(token)) return [];
    const began = performance.now();
    this.inFlight++;
    const spin = this.later(() => this.environment.working(this.inFlight > 0), NOTICEABLE);
    try {
      const result = await next(document, position, context, token);
      const items = result ? (Array.isArray(result) ? result : result.items) : [];
      if (live(token)) {
        this.statistics.asked(items.length > 0 ? performance.now() - began : undefined);
        this.offered(document, position, items);
      }
      return result;
    } finally {
      this.inFlight--;
      this.forget(spin);
      if (this.inFlight === 0) this.environment.working(false);
    }
  };

  private offered(document: vscode.TextDocument, position: vscode.Position, items: readonly vscode.InlineCompletionItem[]): void {
    const offset = document.offsetAt(position);
    const before = this.shown;
    this.shown = items.flatMap((item) => {
      const id: unknown = item.command?.arguments?.[0];
      const text = typeof item.insertText === "string" ? item.insertText : item.insertText.value;
      const already = item.range ? offset - document.offsetAt(item.range.start) : 0;
      return typeof id === "string" ? [{ id, uri: document.uri.toString(), offset, rest: text.slice(already), taken: 0 }] : [];
    });
    const first = this.shown[0];
    if (!first) {
      this.forget(this.unseen);
      return;
    }
    // asked again after each letter typed into it, it is still the same suggestion
    const goesOn = before.some(({ uri, offset: at, rest }) => uri === first.uri && at === offset && (rest.startsWith(first.rest) || first.rest.startsWith(rest)));
    if (!goesOn) {
      this.forget(this.unseen);
      this.unseen = this.later(() => this.seen(), SEEN);
    }
    this.tell(DID_SHOW, { id: first.id });
  }

  /** Count the suggestion on the screen, once. */
  private seen(): void {
    if (this.unseen === undefined) return;
    this.forget(this.unseen);
    this.statistics.count((day) => day.shown++);
  }

  /** VS Code ran a suggestion's command: all of it was taken. */
  acceptedWhole(id: unknown): void {
    const shown = this.shown.find((candidate) => candidate.id === id);
    this.shown = [];
    this.environment.accepted();
    if (!shown) return;
    const characters = shown.rest.length || shown.taken;
    this.seen();
    this.statistics.count((day) => {
      day.accepted++;
      day.acceptedCharacters += characters;
    });
    this.lookAgain(shown.uri, shown.offset, shown.rest);
  }

  private edited(event: vscode.TextDocumentChangeEvent): void {
    // the edit of a whole acceptance comes before its command: what it takes stays known until the command had its turn
    for (const change of event.contentChanges) {
      const edit: Edit = { offset: change.rangeOffset, length: change.rangeLength, text: change.text };
      for (const watched of this.watched) if (watched.document === event.document) watched.span = follow(watched.span, edit);
      const uri = event.document.uri.toString();
      if (this.shown.some((shown) => shown.uri === uri)) this.advance(edit);
    }
  }

  private advance(edit: Edit): void {
    let counted = false;
    this.shown = this.shown.flatMap((shown) => {
      if (edit.text.length > 1 && edit.text.endsWith(shown.rest)) return [shown];
      const next = step(shown, edit);
      if (next.kind === "gone") return [];
      if (next.kind === "taken" && !counted) {
        counted = true;
        this.seen();
        this.statistics.count((day) => {
          day.partly += shown.taken === 0 ? 1 : 0;
          day.acceptedCharacters += next.characters;
        });
        this.environment.accepted();
        this.tell(DID_ACCEPT, { id: shown.id, characters: next.shown.taken });
      }
      return [next.shown];
    });
    if (this.shown.length === 0) this.forget(this.unseen);
  }

  private lookAgain(uri: string, offset: number, text: string): void {
    const document = vscode.workspace.textDocuments.find((candidate) => candidate.uri.toString() === uri);
    if (!document || !text) return;
    const accepted: Accepted = { document, text, span: { start: offset, end: offset + text.length } };
    this.watched.add(accepted);
    this.later(() => {
      this.watched.delete(accepted);
      if (document.isClosed) return;
      const range = new vscode.Range(document.positionAt(accepted.span.start), document.positionAt(accepted.span.end));
      const share = keptShare(text, document.getText(range).replaceAll("\r\n", "\n"));
      this.statistics.count((day) => {
        day.checked++;
        if (share >= KEPT_SHARE) day.retained++;
      });
    }, LOOK_AGAIN);
  }

  /** Why the last request showed nothing. */
  async whyNothing(): Promise<WhyNothing> {
    if (this.refused) return this.refused;
    const client = this.environment.client();
    if (!client) return { reason: "no_server", message: "The language server does not run. The log says why.", suppressed: "" };
    return client.sendRequest<WhyNothing>(WHY_NOTHING);
  }

  private tell(method: string, params: object): void {
    void this.environment.client()?.sendNotification(method, params);
  }

  private later(work: () => void, milliseconds: number): NodeJS.Timeout {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      work();
    }, milliseconds);
    this.timers.add(timer);
    return timer;
  }

  private forget(timer: NodeJS.Timeout | undefined): void {
    clearTimeout(timer);
    if (timer) this.timers.delete(timer);
    if (timer === this.unseen) this.unseen = undefined;
  }

  dispose(): void {
    this.subscription.dispose();
    for (const timer of this.timers) clearTimeout(timer);
  }
}

/** A call and not a property: the answer changes while a request is awaited. */
function live(token: vscode.CancellationToken): boolean {
  return !token.isCancellationRequested;
}
