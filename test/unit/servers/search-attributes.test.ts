import { ensureSearchAttributes } from '../../../workers/servers/search-attributes';

function fakeOperator(customAttributes: Record<string, string> | undefined, code = 0) {
  const calls: string[] = [];
  const operator = (args: readonly string[]) => {
    calls.push(args.join(' '));
    const stdout = args[1] === 'list' ? JSON.stringify({ customAttributes }) : '';
    return Promise.resolve({ code, stdout, stderr: code === 0 ? '' : 'no such namespace' });
  };
  return { calls, operator };
}

const ALL = {
  RatchetPolicy: 'INDEXED_VALUE_TYPE_KEYWORD',
  RatchetPhase: 'INDEXED_VALUE_TYPE_KEYWORD',
  RatchetCandidate: 'INDEXED_VALUE_TYPE_KEYWORD',
  RatchetIteration: 'INDEXED_VALUE_TYPE_INT',
  RatchetReward: 'INDEXED_VALUE_TYPE_DOUBLE',
};

test('a namespace without any gets all of them, with their types', async () => {
  const { calls, operator } = fakeOperator(undefined);
  expect(await ensureSearchAttributes(operator)).toEqual(Object.keys(ALL));
  expect(calls[1]).toContain('--name RatchetIteration --type Int');
  expect(calls[1]).toContain('--name RatchetReward --type Double');
});

test('only what is missing is registered, and nothing if all are there', async () => {
  const rest = Object.fromEntries(Object.entries(ALL).filter(([name]) => name !== 'RatchetReward'));
  const some = fakeOperator(rest);
  expect(await ensureSearchAttributes(some.operator, 'team')).toEqual(['RatchetReward']);
  expect(some.calls[1]).toBe(
    'search-attribute create --name RatchetReward --type Double --namespace team',
  );
  const all = fakeOperator({ ...ALL, SomebodysOwn: 'INDEXED_VALUE_TYPE_BOOL' });
  expect(await ensureSearchAttributes(all.operator)).toEqual([]);
  expect(all.calls).toHaveLength(1);
});

test('a name that is taken by another type is an error with the line that removes it', async () => {
  const { operator } = fakeOperator({ ...ALL, RatchetReward: 'INDEXED_VALUE_TYPE_TEXT' });
  await expect(ensureSearchAttributes(operator)).rejects.toThrow(
    /expected Double, got INDEXED_VALUE_TYPE_TEXT.*search-attribute remove --name RatchetReward/,
  );
});

test('a server that refuses is quoted', async () => {
  const { operator } = fakeOperator({}, 1);
  await expect(ensureSearchAttributes(operator)).rejects.toThrow(/no such namespace/);
});
