/** What the status bar shows for each state: text only, so that it can be tested. */

import type { Status } from "./protocol";

/** The life of the server, before and around the model's own states. */
export type Life =
  | { kind: "starting" }
  | { kind: "running"; status: Status | undefined; working: boolean }
  | { kind: "restarting"; seconds: number }
  | { kind: "needs_action"; message: string }
  | { kind: "unavailable"; message: string }
  | { kind: "failed"; message: string };

export interface View {
  text: string;
  tooltip: string;
  severity: "none" | "warning" | "error";
}

export function view(life: Life, languageOff?: string): View {
  const plain = (icon: string, tooltip: string, suffix = ""): View => ({ text: `$(${icon}) dsassist${suffix}`, tooltip, severity: "none" });
  switch (life.kind) {
    case "starting":
      return plain("loading~spin", "Starting the language server");
    case "restarting":
      return { ...plain("sync~spin", `The language server stopped. It starts again in ${Math.max(1, Math.round(life.seconds))} s.`), severity: "warning" };
    case "needs_action":
      return { ...plain("warning", life.message), severity: "warning" };
    case "unavailable":
      return plain("circle-slash", life.message);
    case "failed":
      return { ...plain("error", life.message), severity: "error" };
    case "running":
      return running(life.status, life.working, plain, languageOff);
  }
}

function running(
  status: Status | undefined,
  working: boolean,
  plain: (icon: string, tooltip: string, suffix?: string) => View,
  languageOff: string | undefined,
): View {
  if (!status) return plain("loading~spin", "Waiting for the language server");
  const said = [status.message, status.remedy].filter(Boolean).join(" ");
  switch (status.state) {
    case "stopped":
    case "ready":
      // an engine of ours starts by itself; a server elsewhere that is stopped needs someone
      if (status.state === "stopped" && status.remedy) return { ...plain("warning", said), severity: "warning" };
      if (languageOff) return plain("circle-slash", `Suggestions are off for ${languageOff}`);
      if (working) return plain("loading~spin", `Working · ${status.model}`);
      return plain("sparkle", said || (status.state === "ready" ? `Ready · ${status.model}` : "The model starts with the first suggestion"));
    case "loading":
      return plain("loading~spin", said || `Loading ${status.model}`, ` ${Math.round(status.progress * 100)}%`);
    case "paused":
      return plain("debug-pause", said || "Suggestions are paused");
    case "no_model":
      return { ...plain("cloud-download", said || "No model is on this machine"), severity: "warning" };
    case "error":
      return { ...plain("error", said || "The model cannot be reached"), severity: "error" };
  }
}
