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
    tests: ['test/unit/losses', 'test/gradcheck', 'test/unit/policies/language/training'],
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
    tests: ['test/unit/policies/language/training', 'test/unit/policies/language/network'],
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
module.exports.EQUIVALENT = [];
