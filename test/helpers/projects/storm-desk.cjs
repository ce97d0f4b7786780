// The small desk under many names: each run of a storm gets a policy of its own, and all of them must learn the same bytes.
const { project } = require('./small-desk.cjs');

const POLICIES = 30;

exports.project = {
  ...project,
  policies: Object.fromEntries(
    Array.from({ length: POLICIES }, (_, n) => [`storm-${n}`, project.policies['small-desk']]),
  ),
};
