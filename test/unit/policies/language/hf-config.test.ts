import { fromHfConfig, toHfConfig } from '../../../../src/policies/language/hf-config';
import { parameterCount } from '../../../../src/policies/language/parameters';
import { GOLDEN_MODELS, goldenModel } from '../../../helpers/golden-models';

test.each(GOLDEN_MODELS)('%s: the configuration that is written is read back as it was', (name) => {
  const { config } = goldenModel(name);
  expect(fromHfConfig(toHfConfig(config))).toEqual(config);
});

test('rotary settings are understood in the words of transformers 4 and 5', () => {
  const { config } = goldenModel('llama3');
  const { rope_theta, rope_scaling, ...rest } = toHfConfig(config);
  const older = { ...(rope_scaling as object), rope_type: undefined, type: 'llama3' };
  expect(fromHfConfig({ ...rest, rope_theta, rope_scaling: older })).toEqual(config);
  const newer = { ...(rope_scaling as object), rope_theta };
  expect(fromHfConfig({ ...rest, rope_parameters: newer })).toEqual(config);
});

test('yarn’s attention factor: Peng’s, or DeepSeek’s where both of its settings are given', () => {
  const base = toHfConfig(goldenModel('llama2').config);
  const factorOf = (scaling: Record<string, unknown>): number => {
    const { ropeScaling } = fromHfConfig({
      ...base,
      rope_scaling: { rope_type: 'yarn', factor: 4, ...scaling },
    });
    if (ropeScaling.type !== 'yarn') throw new Error(ropeScaling.type);
    return ropeScaling.attentionFactor;
  };
  const peng = 0.1 * Math.log(4) + 1;
  expect(factorOf({})).toBeCloseTo(peng, 12);
  expect(factorOf({ mscale: 2 })).toBeCloseTo(peng, 12);
  expect(factorOf({ mscale_all_dim: 2 })).toBeCloseTo(peng, 12);
  expect(factorOf({ mscale: 2, mscale_all_dim: 0.5 })).toBeCloseTo(
    (0.2 * Math.log(4) + 1) / (0.05 * Math.log(4) + 1),
    12,
  );
  expect(factorOf({ attention_factor: 1.5 })).toBe(1.5);
  expect(factorOf({ factor: 1 })).toBe(1);
});

test('a model’s parameters are counted', () => {
  const model = goldenModel('qwen3');
  const total = Object.values(model.weights).reduce((sum, { length }) => sum + length, 0);
  expect(parameterCount(model.config)).toBe(total);
});
