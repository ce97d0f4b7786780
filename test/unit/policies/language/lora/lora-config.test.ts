import { InvalidInputError } from '../../../../../src/errors';
import {
  fromPeftConfig,
  loraScale,
  targetsOf,
  toPeftConfig,
} from '../../../../../src/policies/language/lora/lora-config';
import { goldenAdapter, goldenModel } from '../../../../helpers/golden-models';

const { config } = goldenModel('llama3');
const PEFT = { peft_type: 'LORA', r: 4, lora_alpha: 8, target_modules: ['q_proj'] };

test('layers are meant by their name, its end, a pattern, or all at once', () => {
  const first = 'model.layers.0.self_attn.q_proj';
  expect(targetsOf(['q_proj'], config)).toEqual([first, 'model.layers.1.self_attn.q_proj']);
  expect(targetsOf([first], config)).toEqual([first]);
  expect(() => targetsOf(['proj'], config)).toThrow(/targets no linear layer.*q_proj/);
});

test('a pattern has to match the whole name', () => {
  expect(targetsOf('.*layers\\.1\\..*(gate|up)_proj', config)).toEqual([
    'model.layers.1.mlp.gate_proj',
    'model.layers.1.mlp.up_proj',
  ]);
  expect(() => targetsOf('gate_proj', config)).toThrow(/targets no linear layer/);
  expect(() => targetsOf('(', config)).toThrow(InvalidInputError);
  expect(targetsOf('all-linear', config)).toHaveLength(7 * config.layers);
});

test('scale is alpha / r, or alpha / √r where ranks are stabilized', () => {
  const lora = fromPeftConfig({ ...PEFT, r: 16 }, config);
  expect(loraScale(lora)).toBe(0.5);
  expect(loraScale({ ...lora, isRankStabilized: true })).toBe(2);
});

test.each([
  ['use_dora', true],
  ['rank_pattern', { q_proj: 8 }],
  ['alpha_pattern', { q_proj: 8 }],
  ['modules_to_save', ['lm_head']],
  ['bias', 'all'],
  ['fan_in_fan_out', true],
  ['layers_to_transform', [0]],
])('%s is refused by name', (key, value) => {
  expect(() => fromPeftConfig({ ...PEFT, [key]: value }, config)).toThrow(new RegExp(key));
});

test('what is no LoRA at all, or has no rank, is refused', () => {
  expect(() => fromPeftConfig({ ...PEFT, peft_type: 'IA3' }, config)).toThrow(InvalidInputError);
  expect(() => fromPeftConfig({ ...PEFT, r: 0 }, config)).toThrow(/r/);
  expect(() => fromPeftConfig(null, config)).toThrow(InvalidInputError);
});

test('what is written is read back as it was', () => {
  const { lora } = goldenAdapter(goldenModel('llama3'));
  expect(fromPeftConfig(toPeftConfig(lora, 'llama3'), config)).toEqual(lora);
});
