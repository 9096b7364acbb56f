/** dsassist's own messages, as `lsp_server/dsassist/server/protocol.py` defines them. */

export type ModelState = "ready" | "loading" | "no_model" | "error" | "paused" | "stopped";

export interface Status {
  state: ModelState;
  message: string;
  remedy: string;
  /** 0 to 1, with `loading`. */
  progress: number;
  model: string;
  version: string;
}

export interface WhyNothing {
  /** A short stable word; `none` when a suggestion was shown. */
  reason: string;
  message: string;
  /** The text that was held back, where there was one. */
  suppressed: string;
}

/** Files around one, and from each an edge to those that it uses. Parameters: `uri`, `depth`, `most`. */
export interface FileGraph {
  /** The address of the file that was asked for, as in `nodes`. */
  root: string;
  nodes: { uri: string; path: string }[];
  edges: { source: string; target: string; count: number }[];
  /** Files near it that are left out, because there were too many. */
  dropped: number;
}

export const STATUS = "dsassist/status";
export const WHY_NOTHING = "dsassist/whyNothing";
export const PAUSE = "dsassist/pause";
export const GRAPH = "dsassist/graph";
export const DIAGNOSTICS = "dsassist/diagnostics";
export const DID_SHOW = "dsassist/didShow";
export const DID_ACCEPT = "dsassist/didAccept";

/** The command of every suggestion, run by VS Code when all of it is taken. */
export const ACCEPTED_COMMAND = "dsassist.accepted";
/** Arguments: the address of a file and a line, counted from 1. */
export const GENERATE_TESTS_COMMAND = "dsassist.generateTests";
/** Argument: the address of the file. */
export const STOP_TESTS_COMMAND = "dsassist.cancelGenerateTests";
