// A desk of a dozen tasks, one of which ends whatever process runs it. For worker processes, which run compiled code.
const { appendFileSync } = require('node:fs');
const { fetch } = globalThis;

const ARMS = ['refund', 'weather', 'human'];
const tools = ARMS.map((name) => ({ type: 'function', function: { name } }));
const TASKS = 12;
const POISON = 5;

async function poisonedDesk() {
  return {
    tasks: Array.from({ length: TASKS }, (_, n) => ({
      id: `train-${n}`,
      split: 'train',
      input: { query: `query ${n}`, n },
      family: `family-${n}`,
      slice: 'all',
      reference: {},
    })),
    demonstrations: ARMS.map((arm) => ({ text: `please ${arm}`, arm })),
    attribution: 'made up',
  };
}

async function run({ input, baseUrl, apiKey, model, idempotencyKey, signal }) {
  // One line per execution: who asks for what under which key. Appended at once, so that it outlives the process.
  appendFileSync(
    process.env.POISONED_DESK_LOG,
    `${JSON.stringify({ n: input.n, idempotencyKey, pid: process.pid })}\n`,
  );
  const response = await fetch(`${baseUrl}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model, messages: [{ role: 'user', content: input.query }], tools }),
    signal,
  });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  if (input.n === POISON) process.exit(1);
  return { done: true };
}

exports.project = {
  agents: { desk: { kind: 'module', run } },
  scorers: [{ name: 'done', version: '1', score: ({ result }) => (result === null ? 0 : 1) }],
  datasets: { desk: poisonedDesk },
  policies: {
    desk: {
      config: {
        kind: 'choice',
        arms: ARMS.map((name) => ({ kind: 'tool', name, tool: name })),
        features: { buckets: 1024 },
        network: { embedding: 8, hidden: 8 },
      },
      createFrom: { dataset: 'desk' },
    },
  },
};
