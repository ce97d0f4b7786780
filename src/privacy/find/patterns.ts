import { RE2JS } from 're2js';
import { InvalidInputError } from '../../errors';
import type { RedactionPattern } from '../../schemas/privacy-config';
import type { Finder } from '../span';

/**
 * A pattern of the configuration. RE2's automaton takes time in proportion to the text, whatever the pattern is; JavaScript's own engine would
 * let one agent stop the gateway with a text that some pattern backtracks on.
 *
 * @throws {InvalidInputError} if it is not of RE2's syntax, or matches nothing at all.
 */
export function createFindPattern({ name, pattern, ignoreCase = false }: RedactionPattern): Finder {
  let compiled: RE2JS;
  try {
    compiled = RE2JS.compile(pattern, ignoreCase ? RE2JS.CASE_INSENSITIVE : 0);
  } catch (cause) {
    throw new InvalidInputError(
      'a pattern of the privacy configuration is not valid: expected RE2’s syntax, without back references and look-around',
      { context: { name }, cause },
    );
  }
  if (compiled.matcher('').find()) {
    throw new InvalidInputError(
      'a pattern of the privacy configuration matches the empty text: it would replace nothing, everywhere',
      { context: { name } },
    );
  }
  return (text, add) => {
    const matcher = compiled.matcher(text);
    while (matcher.find()) if (matcher.end() > matcher.start()) add(matcher.start(), matcher.end());
  };
}
