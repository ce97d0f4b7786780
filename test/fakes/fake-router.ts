import type { PolicyServer } from '../../src/policies/policy-server';
import type { RequestPatch } from '../../src/schemas/arm';
import type { Digest } from '../../src/schemas/ids';

/** Forwards each request under the first of its patches that somebody would answer, and says so in the sampled arm. */
export function createFakeRouter(
  patches: Readonly<Record<string, RequestPatch>>,
  ownTemperature = 1,
): PolicyServer & { readonly temperatures: readonly number[] } {
  const temperatures: number[] = [];
  return {
    temperatures,
    serve: async (checkpoint: Digest) => ({
      ...{ checkpoint, temperature: ownTemperature },
      async answer(_request, { temperature }, _uniform, forwards = () => false) {
        temperatures.push(temperature);
        const open = Object.entries(patches).filter(([, patch]) => forwards(patch));
        const [chosen] = open;
        if (chosen === undefined) throw new Error('every arm is masked');
        const [arm, patch] = chosen;
        const arms = open.map(([name]) => name);
        const sampled = {
          kind: 'arm' as const,
          arm,
          propensity: 0.25,
          available: open.length,
          arms,
        };
        return { patch, sampled };
      },
    }),
    close: async () => undefined,
  };
}
