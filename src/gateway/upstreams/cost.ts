import type { Usage } from '../../schemas/decision';
import type { ModelPrice } from '../../schemas/gateway-config';

/**
 * What an answer cost, in millionths of the unit of money that the prices are in: a price per million tokens times tokens is just that.
 * Rounded to thousandths of those, so that sums of many small calls neither vanish nor carry the noise of binary fractions.
 */
export function costMicros(
  { input, output, cacheRead = input, cacheWrite = input }: ModelPrice,
  { promptTokens, completionTokens, cacheReadTokens = 0, cacheWriteTokens = 0 }: Usage,
): number {
  // An upstream that counts its cache beside the prompt, and not as part of it, must not make the rest negative.
  const fresh = Math.max(0, promptTokens - cacheReadTokens - cacheWriteTokens);
  const cost =
    fresh * input +
    cacheReadTokens * cacheRead +
    cacheWriteTokens * cacheWrite +
    completionTokens * output;
  return Math.round(cost * 1_000) / 1_000;
}
