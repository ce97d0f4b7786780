const { TestEnvironment } = require('jest-environment-node');

/**
 * For tests that run ONNX Runtime on jest's own thread. Jest gives each test file fresh globals, so a tensor that the native
 * module makes is no `Float32Array` to the code under test, and onnxruntime-common refuses it; here both see the same classes.
 */
module.exports = class OrtEnvironment extends TestEnvironment {
  constructor(config, context) {
    super(config, context);
    Object.assign(this.global, { Float32Array, Float64Array, BigInt64Array });
  }
};
