// `npm run mutate`: puts small faults into the engine's sources, one at a time, and looks whether the tests notice. It works in copies of
// the checkout, so whatever ends it leaves the checkout as it was.
//
//   --sample 200   how many faults are tried, drawn evenly from all files   --all   every one
//   --seed 1       which ones are drawn                                     --only vjp   files whose path holds this
//   --jobs 2       how many at once
//
// Prints each fault that nobody noticed, and at the end `caught X of Y (Z %)`; exit code 1 below 90 %.
const { spawn, spawnSync } = require('node:child_process');
const {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} = require('node:fs');
const { tmpdir } = require('node:os');
const { dirname, join } = require('node:path');
const { parseArgs } = require('node:util');
const { clearTimeout, setTimeout } = require('node:timers');
const ts = require('typescript');
const { mutantsOf } = require('./mutants.cjs');
const { EQUIVALENT, TARGETS } = require('./targets.cjs');

const ROOT = join(__dirname, '../..');
const NEEDED = 0.9;
/** A fault that makes a test run for ever is noticed too. */
const TIME_LIMIT_MS = 180_000;

const { values: options } = parseArgs({
  options: {
    sample: { type: 'string', default: '200' },
    all: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    jobs: { type: 'string', default: '2' },
  },
});

function trackedFiles() {
  const { stdout } = spawnSync(
    'git',
    ['ls-files', '-z', 'src', 'test', 'jest.config.cjs', 'package.json', 'tsconfig.json'],
    {
      cwd: ROOT,
      encoding: 'utf8',
      maxBuffer: 1e8,
    },
  );
  return stdout.split('\0').filter((file) => file !== '');
}

function copyCheckout(files) {
  const folder = mkdtempSync(join(tmpdir(), 'ratchet-mutation-'));
  for (const file of files) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    cpSync(join(ROOT, file), join(folder, file));
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'dir');
  return folder;
}

/** Mulberry32: the same seed draws the same faults. */
function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function allMutants(files) {
  const sources = files.filter(
    (file) => file.includes(options.only) && TARGETS.some(({ sources }) => sources.test(file)),
  );
  const program = ts.createProgram(
    sources.map((file) => join(ROOT, file)),
    {
      ...{ strict: true, noEmit: true, skipLibCheck: true, esModuleInterop: true },
      ...{ target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.CommonJS },
    },
  );
  const checker = program.getTypeChecker();
  return sources.flatMap((file) => {
    const { tests } = TARGETS.find(({ sources }) => sources.test(file));
    const lines = readFileSync(join(ROOT, file), 'utf8').split('\n');
    return mutantsOf(program.getSourceFile(join(ROOT, file)), checker)
      .map((mutant) => ({ file, tests, ...mutant, code: lines[mutant.line - 1].trim() }))
      .filter(
        ({ what, code }) =>
          !EQUIVALENT.some((e) => e.file === file && e.what === what && code.includes(e.at)),
      );
  });
}

/** @returns whether all tests pass. */
function runTests(folder, tests) {
  return new Promise((resolve) => {
    const child = spawn(
      process.execPath,
      [
        ...[join(folder, 'node_modules/jest/bin/jest.js'), '--selectProjects', 'unit', 'gradcheck'],
        ...['--bail=1', '--silent', '--runInBand', '--rootDir', folder, '--', ...tests],
      ],
      { cwd: folder, stdio: 'ignore', detached: process.platform !== 'win32' },
    );
    const timer = setTimeout(() => kill(child), TIME_LIMIT_MS);
    child.on('exit', (code) => {
      clearTimeout(timer);
      resolve(code === 0);
    });
  });
}

function kill(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

function textOf({ file, line, what, code }) {
  return `${file}:${line}  ${what}\n    ${code}`;
}

async function main() {
  const files = trackedFiles();
  const all = allMutants(files);
  const random = randomFrom(Number(options.seed));
  const drawn = all
    .map((mutant) => ({ mutant, order: random() }))
    .sort((a, b) => a.order - b.order)
    .slice(0, options.all ? all.length : Number(options.sample))
    .map(({ mutant }) => mutant);
  console.log(
    `${drawn.length} of ${all.length} faults in ${new Set(all.map(({ file }) => file)).size} files`,
  );
  const folders = Array.from({ length: Number(options.jobs) }, () => copyCheckout(files));
  const survivors = [];
  let done = 0;
  try {
    const sets = [...new Set(drawn.map(({ tests }) => tests))];
    for (const tests of sets) {
      if (await runTests(folders[0], tests)) continue;
      throw new Error(`without any fault, these fail: ${tests.join(' ')}`);
    }
    const queue = [...drawn];
    await Promise.all(
      folders.map(async (folder) => {
        for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
          const path = join(folder, mutant.file);
          const source = readFileSync(path, 'utf8');
          writeFileSync(
            path,
            source.slice(0, mutant.start) + mutant.text + source.slice(mutant.end),
          );
          const passed = await runTests(folder, mutant.tests);
          writeFileSync(path, source);
          if (passed) {
            survivors.push(mutant);
            console.log(textOf(mutant)); // at once: a run takes hours
          }
          done += 1;
          const line = `${done} of ${drawn.length}, ${survivors.length} not noticed`;
          if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
          else if (done % 20 === 0) process.stderr.write(`${line}\n`);
        }
      }),
    );
  } finally {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  }
  const caught = drawn.length - survivors.length;
  const share = drawn.length === 0 ? 1 : caught / drawn.length;
  console.log(`caught ${caught} of ${drawn.length} (${(100 * share).toFixed(1)} %)`);
  if (share < NEEDED) process.exitCode = 1;
}

main().catch((error) => {
  console.error(error);
  process.exit(2);
});
