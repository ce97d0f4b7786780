/** What is replaced, by kind. A name of the configuration's own patterns is a kind as well; `denied` is what stands under a denied path. */
export const BUILT_IN_KINDS = ['secret', 'card', 'iban', 'email', 'phone', 'ip'] as const;
export type BuiltInKind = (typeof BUILT_IN_KINDS)[number];

/** A piece of a text that is to be replaced. */
export interface Span {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
  readonly kind: string;
  /** What it stands for, in one spelling: the same card is the same value with spaces and without. */
  readonly value: string;
  /** What the placeholder is put between: where a whole value of JSON is replaced, a string has to stand in its place. */
  readonly quote?: string;
}

/** Looks for one kind in a text. In linear time, whatever the text is: it comes from strangers. */
export type Finder = (
  text: string,
  add: (start: number, end: number, value?: string) => void,
) => void;

export function isAlphanumeric(code: number): boolean {
  return isDigit(code) || isLetter(code);
}

export function isDigit(code: number): boolean {
  return code >= 48 && code <= 57;
}

/** ASCII. */
export function isLetter(code: number): boolean {
  const lower = code | 32;
  return lower >= 97 && lower <= 122;
}
