import { fromHfConfig, toHfConfig } from '../../../../src/policies/language/hf-config';
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
