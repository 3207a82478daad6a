/** One step of a check: what was checked, and the result. */
export interface Finding {
  /** In a word or two: `name`, `port`, `login`. */
  readonly what: string;
  readonly isWell: boolean;
  /** What was found. The caller makes foreign text harmless before it shows it. */
  readonly text: string;
  /** What to do if the step failed. */
  readonly cure?: string;
  /** A command that shows the same by hand. */
  readonly byHand?: string;
}

export function well(what: string, text: string): Finding {
  return { what, isWell: true, text };
}

export function wrong(what: string, text: string, cure: string, byHand?: string): Finding {
  return { what, isWell: false, text, cure, ...(byHand !== undefined && { byHand }) };
}
