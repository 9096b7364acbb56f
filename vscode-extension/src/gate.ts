/** Whether to ask the server at all, and if not, why. */

import type { WhyNothing } from "./protocol";

export interface Question {
  manual: boolean;
  language: string;
  enabled: boolean;
  languagesOff: readonly string[];
  paused: boolean;
  /** Characters of the line with the cursor. */
  lineLength: number;
}

/** A line longer than this is data or minified: a model has nothing to say about it. */
export const LONGEST_LINE = 5_000;

export function refuse(question: Question): WhyNothing | undefined {
  const reason = (name: string, message: string): WhyNothing => ({ reason: name, message, suppressed: "" });
  if (question.paused) return reason("paused", "Suggestions are paused. The item in the status bar resumes them.");
  if (question.lineLength > LONGEST_LINE) {
    return reason("long_line", `The line has ${question.lineLength} characters; beyond ${LONGEST_LINE} nothing is suggested.`);
  }
  if (question.manual) return undefined;
  if (!question.enabled) {
    return reason("disabled", "Suggestions while typing are off (dsassist.completion.enabled). Trigger one by hand, or switch them on.");
  }
  if (question.languagesOff.includes(question.language)) {
    return reason("language_off", `Suggestions are off for ${question.language} (dsassist.completion.languagesOff).`);
  }
  return undefined;
}
