/** Follows a piece of accepted text through later edits, and suggestions that are taken piece by piece. */

/** An edit in offsets: `length` characters at `offset` became `text`. */
export interface Edit {
  offset: number;
  length: number;
  text: string;
}

/** A range of offsets, the end exclusive. */
export interface Span {
  start: number;
  end: number;
}

/** Where `span` is after `edit`. Text typed at its very ends does not belong to it. */
export function follow(span: Span, edit: Edit): Span {
  const editEnd = edit.offset + edit.length;
  const shift = edit.text.length - edit.length;
  if (editEnd <= span.start) return { start: span.start + shift, end: span.end + shift };
  if (edit.offset >= span.end) return span;
  const start = edit.offset < span.start ? edit.offset + edit.text.length : span.start;
  const end = editEnd > span.end ? edit.offset : span.end + shift;
  return { start, end: Math.max(start, end) };
}

/** Share of `before` that is still at the two ends of `after`. */
export function keptShare(before: string, after: string): number {
  if (before.length === 0) return 1;
  const shorter = Math.min(before.length, after.length);
  let head = 0;
  while (head < shorter && before[head] === after[head]) head++;
  let tail = 0;
  while (tail < shorter - head && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail++;
  return (head + tail) / before.length;
}

/** A suggestion that is on the screen. */
export interface Shown {
  id: string;
  uri: string;
  /** Where the cursor was. */
  offset: number;
  /** What would still be inserted at `offset`. */
  rest: string;
  /** Characters taken word by word or line by line. */
  taken: number;
}

export type Step =
  | { kind: "typed" | "taken"; shown: Shown; characters: number }
  | { kind: "gone" };

/**
 * What an edit does to a shown suggestion. One character that agrees was typed; more at once were taken by word or line
 * (editors report no other sign of it). Anything else ends it.
 */
export function step(shown: Shown, edit: Edit): Step {
  if (edit.length > 0 || edit.offset !== shown.offset || !edit.text || !shown.rest.startsWith(edit.text)) return { kind: "gone" };
  const taken = edit.text.length > 1;
  const next: Shown = {
    ...shown,
    offset: shown.offset + edit.text.length,
    rest: shown.rest.slice(edit.text.length),
    taken: shown.taken + (taken ? edit.text.length : 0),
  };
  return { kind: taken ? "taken" : "typed", shown: next, characters: edit.text.length };
}
