// `npm test`: builds, checks and tests everything, and ends with one line that counts what passed and what failed.
// A check (formatting, lint, types) counts as one.
const { spawnSync } = require('node:child_process');
const { mkdtempSync, readFileSync, rmSync } = require('node:fs');
const { tmpdir } = require('node:os');
const { join } = require('node:path');

const counts = { passed: 0, failed: 0, skipped: 0 };
const bin = (name) => join(__dirname, '..', 'node_modules', '.bin', name);
const run = (command, args) =>
  spawnSync(command, args, {
    cwd: join(__dirname, '..'),
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });

function check(name, command, args) {
  console.log(`\n== ${name}`);
  const ok = run(command, args).status === 0;
  counts[ok ? 'passed' : 'failed'] += 1;
  if (!ok) console.log(`FAILED: ${name}`);
  return ok;
}

function jest(name, projects, extra = []) {
  console.log(`\n== ${name}`);
  const folder = mkdtempSync(join(tmpdir(), 'ratchet-results-'));
  const output = join(folder, 'results.json');
  const { status } = run(bin('jest'), [
    '--selectProjects',
    ...projects,
    '--json',
    `--outputFile=${output}`,
    ...extra,
  ]);
  try {
    const results = JSON.parse(readFileSync(output, 'utf8'));
    counts.passed += results.numPassedTests;
    counts.skipped += results.numPendingTests;
    counts.failed += results.numFailedTests + results.numRuntimeErrorTestSuites;
    if (status !== 0 && results.success) counts.failed += 1; // jest itself failed
  } catch (error) {
    console.log(`FAILED: ${name} left no results: ${error.message}`);
    counts.failed += 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

// Threads and child processes run compiled code, so the build comes first, and nothing goes on without it.
if (check('build', bin('tsc'), ['-p', 'tsconfig.build.json'])) {
  check('types', bin('tsc'), ['--noEmit']);
  check('lint', bin('eslint'), ['.', '--max-warnings', '0']);
  check('format', bin('prettier'), ['--check', '--log-level', 'warn', '.']);
  jest('tests that need nothing', ['unit', 'contract', 'gradcheck', 'activities', 'replay']);
  jest('clients in Python', ['clients']);
  jest('tests on a MinIO', ['minio'], ['--runInBand']);
  // One file at a time: each starts workers, and two cores are soon busy.
  jest('tests on a Temporal server', ['workflows', 'crash', 'e2e'], ['--runInBand']);
}
if (counts.skipped > 0) console.log(`\n${counts.skipped} skipped: the tests above say why`);
console.log(`\n${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed === 0 ? 0 : 1;
