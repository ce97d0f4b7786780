import type { Sampled } from '../../src/schemas/decision';
import { isForward, type PolicyAnswer, type PolicyChoice } from '../../src/policies/policy-server';

/** What a policy answered by itself. @throws if it forwarded the request. */
export function ownAnswer<S extends Sampled>(choice: PolicyChoice<S>): PolicyAnswer<S> {
  if (isForward(choice)) throw new Error(`the policy forwarded the request: ${choice.sampled.arm}`);
  return choice;
}
