import { LruMap } from '../../../src/gateway/lru-map';

test('holds at most its capacity, and forgets what was used least recently', () => {
  const map = new LruMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  expect(map.get('a')).toBe(1);
  map.set('c', 3);
  expect(['a', 'b', 'c'].map((key) => map.get(key))).toEqual([1, undefined, 3]);
});

test('a value that is set again replaces the old one and takes no room', () => {
  const map = new LruMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  map.set('a', 3);
  expect(['a', 'b'].map((key) => map.get(key))).toEqual([3, 2]);
});
