import { findTwice } from '../http/edit-json';
import { badRequest } from '../http/request-error';

/**
 * Of two members of one name the upstream might read the other one than we.
 *
 * @param members that we read.
 * @throws {RequestError} 400 naming the member.
 */
export function assertReadOnce(text: string, members: readonly string[]): void {
  const twice = findTwice(text, members);
  if (twice === null) return;
  throw badRequest(
    `the body says ${JSON.stringify(twice)} twice: expected it once`,
    'invalid_json',
    twice,
  );
}
