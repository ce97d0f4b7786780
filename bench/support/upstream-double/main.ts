import { startUpstreamDouble } from './start';

// The double as a process of its own: prints `ready: <url>`, and ends with its standard input.
void startUpstreamDouble({ port: Number(process.env.DOUBLE_PORT ?? 0) }).then((double) => {
  console.log(`ready: ${double.url}`);
  process.stdin.resume().once('end', () => void double.close().then(() => process.exit(0)));
});
