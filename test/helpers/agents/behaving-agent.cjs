// Agents as a program: `node behaving-agent.cjs <behaviour>`. The same behaviours as module-agents.ts, and some that only a
// process can have.
const { spawn } = require('node:child_process');
const { setInterval } = require('node:timers');

const print = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);
const forEver = () => setInterval(() => undefined, 1000);

async function readInput() {
  let text = '';
  for await (const chunk of process.stdin) text += chunk;
  return JSON.parse(text);
}

/** Prints its own pid and hangs; `how` says what it does about SIGTERM. */
function grandchild(how, stdio) {
  const ignore = how === 'stubborn' ? "process.on('SIGTERM', () => undefined);" : '';
  const code = `${ignore} setInterval(() => undefined, 1000); console.log('up ' + process.pid);`;
  return spawn(process.execPath, ['-e', code], { stdio });
}

const behaviours = {
  async echo() {
    const { input, model, idempotencyKey } = await readInput();
    const { OPENAI_BASE_URL: baseUrl, OPENAI_API_KEY: apiKey } = process.env;
    print({ input, model, idempotencyKey, baseUrl, apiKey });
  },
  throw() {
    throw new Error('the agent broke');
  },
  hang: forEver,
  stubborn() {
    process.on('SIGTERM', () => undefined);
    forEver();
  },
  notJson: () => process.stdout.write('I called the tool.\n'),
  halfASurrogate: () => process.stdout.write('"\\ud800"\n'),
  async sized() {
    const { input } = await readInput();
    print('x'.repeat(input.chars));
  },
  // Only processes:
  environment: () => print(process.env),
  nothing: () => undefined,
  chatter() {
    const line = `${'noise '.repeat(200)}\n`;
    for (let i = 0; i < 8000; i += 1) process.stdout.write(line);
    for (let i = 0; i < 8000; i += 1) process.stderr.write(line);
    process.stdout.write('{"done":true}\n\n  \r\n');
  },
  fail() {
    process.stderr.write(`could not reach the database with ${process.env.OPENAI_API_KEY}\n`);
    process.exitCode = 3;
  },
  die: () => process.kill(process.pid, 'SIGKILL'),
  deaf: () => print('did not listen'),
  leavesGrandchild() {
    const child = grandchild('plain', ['ignore', 'pipe', 'ignore']);
    child.stdout.once('data', () => {
      process.stdout.write(JSON.stringify({ pid: child.pid }) + '\n', () => process.exit(0));
    });
  },
  hangsWithGrandchild() {
    const child = grandchild('stubborn', ['ignore', 'pipe', 'ignore']);
    child.stdout.once('data', async () => {
      const { input } = await readInput();
      require('node:fs').writeFileSync(input.pidFile, String(child.pid));
    });
  },
};

behaviours[process.argv[2]]();
