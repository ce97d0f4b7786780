/** The header `Retry-After` in milliseconds from `nowMs`: seconds, or an HTTP date. Null where there is none, or none that is valid. */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | null {
  if (value === undefined) return null;
  if (/^\s*\d{1,9}\s*$/.test(value)) return Number(value) * 1_000;
  const atMs = /[A-Za-z]{3}/.test(value) ? Date.parse(value) : NaN; // '1.5' or '-3' would be dates, too
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs);
}
