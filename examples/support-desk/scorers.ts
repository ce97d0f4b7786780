import type { Scorer, ScorerInput } from '../../src/scoring/scorer';
import { answerOfCustomer } from './customer';
import { parseReference } from './reference';

type AppliesTo = 'all' | 'in-scope' | 'out-of-scope';

/** 1 if the customer said "resolved", else 0; null on tasks that the scorer is not about. */
function customerScorer(name: string, appliesTo: AppliesTo): Scorer {
  return {
    name,
    version: '1',
    score({ reference: { reference }, result }: ScorerInput) {
      const parsed = parseReference(reference);
      const scope = parsed.intent === null ? 'out-of-scope' : 'in-scope';
      if (appliesTo !== 'all' && appliesTo !== scope) return null;
      return answerOfCustomer(parsed, result) === 'resolved' ? 1 : 0;
    },
  };
}

/** `customer` is what is trained on; the other two tell what it is made of: the gate's target and its guardrail. */
export const scorers: readonly Scorer[] = [
  customerScorer('customer', 'all'),
  customerScorer('resolution', 'in-scope'),
  customerScorer('escalation', 'out-of-scope'),
];
