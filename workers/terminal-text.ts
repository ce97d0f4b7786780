/**
 * What others said, for a terminal: on one line, and without the control characters by which a text could move the cursor, change colours or
 * ring the bell of whoever looks at it.
 */
export function terminalText(text: string, maxLength = Infinity): string {
  const visible = text
    .replace(/\s*[\r\n]+\s*/g, ' ⏎ ')
    // Control characters, and those that turn the direction of text around.
    .replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, '·');
  const characters = Array.from(visible);
  if (characters.length <= maxLength) return visible;
  return `${characters.slice(0, maxLength - 1).join('')}…`;
}
