#!/usr/bin/env node
// Stands in for the `temporal` binary: `server start-dev` makes the database file and opens the port; any other command
// writes down how it was called.
// FAKE_TEMPORAL: `ends` (exits at once), `hangs` (opens no port), `stubborn` (ignores SIGTERM).
const { createServer } = require('node:net');
const { existsSync, writeFileSync } = require('node:fs');
const { setInterval } = require('node:timers');

const args = process.argv.slice(2);
const flag = (name) => args[args.indexOf(name) + 1];
const mode = process.env.FAKE_TEMPORAL;

if (args[0] === '--version') {
  console.log('temporal version 1.8.2 (Server 1.31.2, UI 2.50.1)');
} else if (args[0] === 'server') {
  if (mode === 'ends') {
    console.error('Error: unknown flag: --ui-disable-news-fetch');
    process.exit(1);
  }
  if (mode === 'stubborn') process.on('SIGTERM', () => console.log('no'));
  if (!existsSync(flag('--db-filename'))) writeFileSync(flag('--db-filename'), 'tables');
  if (mode === 'hangs') setInterval(() => console.log('still starting'), 50);
  else {
    createServer().listen(Number(flag('--port')), '127.0.0.1', () =>
      console.log(`Temporal Server: localhost:${flag('--port')}`),
    );
  }
} else {
  writeFileSync(
    process.env.FAKE_OUTPUT,
    JSON.stringify({ args, address: process.env.TEMPORAL_ADDRESS ?? null }),
  );
  process.exit(7);
}
