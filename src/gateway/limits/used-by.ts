import type { AnswerReader, ProtocolCall } from '../protocols/protocol';
import { costMicros } from '../upstreams/cost';
import type { ModelTarget } from '../upstreams/model-table';
import type { Usage } from '../../schemas/decision';
import type { Amount } from './spending';

/** Of text in most languages, for most tokenizers, rather too few: limits must not be got around by what nobody counts. */
const CHARACTERS_PER_TOKEN = 4;

/**
 * What a call that an upstream has begun to answer counts for: as the upstream says, else what its text is worth. An answer that is not whole
 * counts for its prompt: whoever hangs up pays for that.
 */
export function usedBy(
  { text }: ProtocolCall,
  { price }: ModelTarget,
  reader: AnswerReader,
): Omit<Amount, 'requests'> {
  const answer = reader.answer();
  const usage: Usage = answer?.usage ?? {
    promptTokens: tokensOf(text),
    completionTokens: answer === null ? 0 : tokensOf(JSON.stringify(answer.outputs)),
  };
  return {
    tokens: usage.promptTokens + usage.completionTokens,
    costMicros: price === null ? 0 : costMicros(price, usage),
  };
}

function tokensOf(text: string): number {
  return Math.ceil(text.length / CHARACTERS_PER_TOKEN);
}
