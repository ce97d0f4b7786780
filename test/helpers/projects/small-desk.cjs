// A support desk of a dozen intents: the whole loop in seconds. For worker processes, which run compiled code.
const { appendFileSync } = require('node:fs');
const { setTimeout: delay } = require('node:timers/promises');
const { join } = require('node:path');

const dist = join(__dirname, '../../../dist');
const { supportDeskDataset } = require(join(dist, 'examples/support-desk/dataset'));
const { policyConfig } = require(join(dist, 'examples/support-desk/policy'));
const { scorers } = require(join(dist, 'examples/support-desk/scorers'));
const { run } = require(join(dist, 'examples/support-desk/agent'));

const INTENTS = [
  'balance',
  'translate',
  'timer',
  'weather',
  'pay_bill',
  'joke',
  'recipe',
  'alarm',
  'calories',
  'spelling',
  'traffic',
  'bill_due',
];
const ESCALATE = 'escalate_to_human';
const EVERY_OUT_OF_SCOPE = 4;

async function smallDesk() {
  const full = await supportDeskDataset({ seed: 1 });
  const isKept = ({ reference }, index) =>
    reference.intent === null || reference.intent === undefined
      ? index % EVERY_OUT_OF_SCOPE === 0
      : INTENTS.includes(reference.intent);
  // One demonstration per arm: a first policy with much to learn, so that the gate has something to see.
  const shown = new Set();
  const isFirst = ({ arm }) => {
    if (shown.has(arm) || (arm !== ESCALATE && !INTENTS.includes(arm))) return false;
    shown.add(arm);
    return true;
  };
  return {
    ...full,
    tasks: full.tasks.filter(isKept),
    demonstrations: full.demonstrations.filter(isFirst),
  };
}

const config = {
  ...policyConfig,
  features: { ...policyConfig.features, buckets: 4096 },
  network: { embedding: 16, hidden: 32 },
  arms: policyConfig.arms.filter(({ name }) => name === ESCALATE || INTENTS.includes(name)),
};

/** As slow as the test wants it, so that there is a middle to kill a worker in. */
const agentDelayMs = Number(process.env.SMALL_DESK_AGENT_DELAY_MS ?? 0);

/** A line per call of the agent, for tests that watch whether anything still runs. */
const callsFile = process.env.SMALL_DESK_CALLS_FILE;

exports.project = {
  agents: {
    'small-desk': {
      kind: 'module',
      run: async (invocation) => {
        if (callsFile !== undefined) appendFileSync(callsFile, '.');
        if (agentDelayMs > 0) await delay(agentDelayMs);
        return run(invocation);
      },
    },
  },
  scorers,
  datasets: {
    'small-desk': smallDesk,
    'no-tasks': async () => ({ ...(await smallDesk()), tasks: [] }),
    'no-demonstrations': async () => ({ ...(await smallDesk()), demonstrations: [] }),
  },
  policies: {
    'small-desk': { config, createFrom: { dataset: 'small-desk' } },
    unprepared: { config, createFrom: { dataset: 'no-demonstrations' } },
  },
};
