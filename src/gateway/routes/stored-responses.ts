import type { Principal } from '../keys/auth';
import { RequestError } from '../http/request-error';
import type { Handler } from '../http/route';

/**
 * `/v1/responses/<id>` and what lies below: OpenAI's clients read, cancel and delete responses there that a server holds. We hold none, and which
 * agent an upstream's response is of is known to nobody but its own gateway: whoever asked for any id would be shown what others said.
 */
export function storedResponses(): Handler<Principal> {
  return () =>
    Promise.reject(
      new RequestError(
        'the gateway holds no responses: keep the answer that the call gave; go on from it with previous_response_id, or ask the upstream that gave it',
        { status: 404, reason: 'response_not_stored' },
      ),
    );
}
