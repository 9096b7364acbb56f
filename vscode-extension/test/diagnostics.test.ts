import { beforeEach, expect, it } from "vitest";
import { tellDiagnostics } from "../src/diagnostics";
import { DIAGNOSTICS } from "../src/protocol";
import { languages, testing, window } from "./vscode";

const uri = (name: string) => ({ toString: () => `file:///${name}` });
const found = (line: number, message: string, severity: number) => ({ range: { start: { line } }, message, severity });

let sent: unknown[][];
let running: object | undefined;

beforeEach(() => {
  testing.configuration.clear();
  sent = [];
  running = {
    sendNotification: async (...call: unknown[]) => void sent.push(call),
    code2ProtocolConverter: { asUri: (of: { toString(): string }) => of.toString() },
  };
  window.activeTextEditor = { document: { uri: uri("a.py") } };
  languages.diagnostics = [found(3, "undefined: x", 0), found(5, "unused", 1), found(6, "could be shorter", 3)];
});

it("tells errors and warnings of the document at hand when they change, and of the next one that is opened", () => {
  const told = tellDiagnostics(() => running as never);
  languages.change([uri("other.py")]);
  expect(sent).toEqual([]);
  languages.change([uri("other.py"), uri("a.py")]);
  const said = [
    { line: 3, message: "undefined: x", warning: false },
    { line: 5, message: "unused", warning: true },
  ];
  expect(sent).toEqual([[DIAGNOSTICS, { uri: "file:///a.py", diagnostics: said }]]);
  window.activate({ document: { uri: uri("b.py") } });
  window.activate(undefined);
  expect(sent.slice(1)).toEqual([[DIAGNOSTICS, { uri: "file:///b.py", diagnostics: said }]]);
  told.dispose();
  languages.change([uri("b.py")]);
  expect(sent).toHaveLength(2);
});

it("tells nothing where it is switched off or nobody listens", () => {
  const told = tellDiagnostics(() => running as never);
  testing.configuration.set("context.diagnostics", false);
  languages.change([uri("a.py")]);
  testing.configuration.clear();
  running = undefined;
  languages.change([uri("a.py")]);
  expect(sent).toEqual([]);
  told.dispose();
});
