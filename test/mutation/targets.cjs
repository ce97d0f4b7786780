// The engine's sources, and the tests that are to notice a fault in each. The first that matches counts.
module.exports.TARGETS = [
  {
    sources:
      /^src\/autodiff\/(vjp|grad|custom-gradient|rematerialize|runtime-operators|prune)\.ts$/,
    tests: [
      'test/gradcheck',
      'test/unit/autodiff',
      'test/unit/policies/language/network',
      'test/unit/nn',
    ],
  },
  {
    sources: /^src\/autodiff\/(in-place|verify)\.ts$/,
    tests: ['test/unit/autodiff', 'test/unit/policies/language/training'],
  },
  {
    sources: /^src\/nn\/.*\.ts$/,
    tests: [
      ...['test/gradcheck', 'test/unit/nn', 'test/unit/policies/language/network'],
      ...['test/unit/policies/language/training', 'test/unit/policies/language/generation/engine'],
    ],
  },
  {
    sources: /^src\/losses\/.*\.ts$/,
    tests: [
      ...['test/unit/losses', 'test/gradcheck', 'test/unit/policies/language/training'],
      'test/unit/policies/language/algorithms',
    ],
  },
  {
    sources: /^src\/optim\/.*\.ts$/,
    tests: [
      'test/unit/optim',
      'test/unit/policies/language/network',
      'test/unit/policies/language/training',
    ],
  },
  {
    sources: /^src\/policies\/language\/(network|rope|parameters|hf-config)\.ts$/,
    tests: [
      'test/unit/policies/language/network',
      'test/unit/policies/language/hf-config',
      'test/unit/policies/language/model-files',
    ],
  },
  {
    sources: /^src\/policies\/language\/lora\/.*\.ts$/,
    tests: ['test/unit/policies/language/lora'],
  },
  {
    sources: /^src\/policies\/language\/training\/.*\.ts$/,
    tests: [
      ...['test/unit/policies/language/training', 'test/unit/policies/language/network'],
      'test/unit/policies/language/lora',
    ],
  },
  {
    sources: /^src\/(policies\/language\/algorithms|rl)\/.*\.ts$/,
    tests: ['test/unit/policies/language/algorithms', 'test/unit/rl'],
  },
  {
    sources: /^src\/policies\/language\/generation\/.*\.ts$/,
    tests: ['test/unit/policies/language/generation'],
  },
  {
    sources: /^src\/policies\/language\/constraints\/.*\.ts$/,
    tests: ['test/unit/policies/language/constraints'],
  },
  {
    sources: /^src\/policies\/language\/text\/.*\.ts$/,
    tests: ['test/unit/policies/language/text', 'test/unit/policies/language/constraints'],
  },
];

/** Faults that nothing can notice, each with why. `at` is what the line holds. */
module.exports.EQUIVALENT = [
  // Of an advantage of 0 both sides are 0.
  {
    file: 'src/losses/clipped-surrogate.ts',
    what: 'less → lessOrEqual',
    at: 'const isNegative',
  },
  // Only longer: what is behind the last word is never read.
  {
    file: 'src/policies/language/constraints/token-trie.ts',
    what: '/ → *',
    at: 'Math.ceil(this.size / 32)',
  },
  // A literal that is written is done, whether it is popped or stays as one that may end.
  {
    file: 'src/policies/language/constraints/machine.ts',
    what: '+ → -',
    at: 'at + 1 === bytes.length',
  },
  // Below infinity is everything, strictly or not.
  {
    file: 'src/policies/language/constraints/json-schema.ts',
    what: '< → <=',
    at: 'below < Infinity',
  },
  {
    file: 'src/policies/language/constraints/json-schema.ts',
    what: '> → >=',
    at: 'above > -Infinity',
  },
  // The heap is a filter before an exact ranking: a lower bound that is too low costs time alone.
  {
    file: 'src/policies/language/generation/sampling.ts',
    what: '0 → 1',
    at: 'if (score <= (heap[0] as number)) continue;',
  },
  { file: 'src/policies/language/generation/sampling.ts', what: '0 → 1', at: 'let at = 0;' },
  // A stop string that is there as a whole was found before.
  {
    file: 'src/policies/language/generation/stop-strings.ts',
    what: '- → +',
    at: 'stop.length - 1',
  },
  // What is copied too much lies behind what is filled, and is overwritten.
  {
    file: 'src/policies/language/generation/kv-cache.ts',
    what: '1 → 2',
    at: 'old.subarray(i * from, (i + 1) * from)',
  },
  // Any negative number says that nothing was found.
  {
    file: 'src/policies/language/text/render-chat.ts',
    what: '1 → 2',
    at: 'endOfTurn === null ? -1',
  },
  // At 128 both ways give steps of 16; and the list is there to be counted.
  { file: 'src/policies/language/training/pack.ts', what: '<= → <', at: 'length <= 128 ? 16' },
  { file: 'src/policies/language/training/pack.ts', what: '0 → 1', at: '[0, 0, 0].map(' },
  // exp(t·log 0) is 0 as well.
  { file: 'src/optim/adam.ts', what: '0 → 1', at: 'if (beta === 0) return' },
];
