// Tests are grouped by what they need. `unit`, `contract`, `gradcheck`, `activities` and `replay` need nothing but Node;
// `workflows`, `crash` and `e2e` need the provisioned Temporal server, `minio` a MinIO,
// `clients` a Python and its package index.
const swc = [
  '@swc/jest',
  {
    jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
    module: { type: 'commonjs' },
    sourceMaps: 'inline',
  },
];

const project = (displayName, rest = {}) => ({
  displayName,
  testEnvironment: 'node',
  testMatch: [`<rootDir>/test/${displayName}/**/*.test.ts`],
  transform: { '^.+\\.ts$': swc },
  setupFilesAfterEnv: ['<rootDir>/test/helpers/set-timeout.cjs'],
  ...rest,
});

const server = {
  globalSetup: '<rootDir>/test/helpers/global-setup.cjs',
  globalTeardown: '<rootDir>/test/helpers/global-teardown.cjs',
};

const minio = {
  globalSetup: '<rootDir>/test/helpers/minio-setup.cjs',
  globalTeardown: '<rootDir>/test/helpers/minio-teardown.cjs',
};

const clients = { globalSetup: '<rootDir>/test/helpers/clients-setup.cjs' };

module.exports = {
  projects: [
    project('unit'),
    project('contract'),
    project('gradcheck'),
    project('activities'),
    project('minio', minio),
    project('workflows', server),
    project('replay'),
    project('crash', server),
    project('e2e', server),
    project('clients', clients),
    project('record', server), // by hand: `npm run record-histories`
  ],
};
