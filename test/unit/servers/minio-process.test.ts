import { minioArguments, parseMinio } from '../../../workers/servers/minio-process';

const data = '/home/someone/my work/.ratchet/minio';

test('a server is known again by its command line, also with spaces in the path', () => {
  const argv = ['/bin/minio', ...minioArguments(9000, data)];
  const expected = { pid: 5, endpoint: 'http://127.0.0.1:9000', data };
  expect(parseMinio({ pid: 5, argv })).toEqual(expected);
  expect(parseMinio({ pid: 5, argv: argv.join(' ').split(' ') })).toEqual(expected); // as `ps` prints it
});

test.each([
  [['minio', 'server', data]],
  [['temporal', 'workflow', 'list', '--address', '127.0.0.1:7233']],
  [['cat', data]],
])('%j is not one of our servers', (argv) => {
  expect(parseMinio({ pid: 5, argv })).toBeUndefined();
});
