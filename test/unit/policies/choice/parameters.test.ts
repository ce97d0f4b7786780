import { initialParameters, parameterShapes } from '../../../../src/policies/choice/parameters';
import { ChoiceConfig } from '../../../../src/schemas/choice-config';

const config = ChoiceConfig.parse({
  arms: ['a', 'b', 'c'].map((name) => ({ kind: 'tool', name, tool: name })),
  features: { buckets: 1024 },
  network: { embedding: 64, hidden: 100 },
});

const deviation = (values: Float32Array): number =>
  Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);

describe('new parameters', () => {
  it('are spread as the network expects them, with biases of 0', () => {
    const parameters = initialParameters(config, 1);
    expect(deviation(parameters['embedding.weight'])).toBeCloseTo(0.1, 2);
    expect(Math.max(...parameters['hidden.weight'])).toBeLessThanOrEqual(1 / 8);
    expect(deviation(parameters['hidden.weight'])).toBeCloseTo(1 / 8 / Math.sqrt(3), 2);
    expect(Math.max(...parameters['output.weight'])).toBeLessThanOrEqual(1 / 10);
    expect(new Set(parameters['hidden.bias'])).toEqual(new Set([0]));
    expect(new Set(parameters['output.bias'])).toEqual(new Set([0]));
  });

  it('have as many values as their shapes say', () => {
    const parameters = initialParameters(config, 1);
    for (const [name, shape] of Object.entries(parameterShapes(config))) {
      const values = parameters[name as keyof typeof parameters];
      expect(values).toHaveLength(shape.reduce((product, size) => product * size, 1));
    }
  });

  it('are the same for the same seed, others for another, and not the same in two places', () => {
    const [one, again, other] = [1, 1, 2].map((seed) => initialParameters(config, seed));
    expect(again).toEqual(one);
    expect(other?.['embedding.weight']).not.toEqual(one?.['embedding.weight']);
    expect(other?.['hidden.weight']).not.toEqual(one?.['hidden.weight']);
    expect(one?.['skip.weight'][0]).not.toBe(one?.['hidden.weight'][0]);
  });
});
