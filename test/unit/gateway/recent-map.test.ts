import { RecentMap } from '../../../src/gateway/recent-map';

test('what was used last is remembered, what was not used since is forgotten', () => {
  const map = new RecentMap<string, number>(2);
  map.set('a', 1);
  for (let i = 0; i < 20; i++) {
    map.set(`once ${i}`, i);
    expect(map.get('a')).toBe(1);
    expect(map.get(`once ${i}`)).toBe(i);
  }
  const remembered = Array.from({ length: 20 }, (_, i) => map.get(`once ${i}`));
  expect(remembered.filter((value) => value !== undefined).length).toBeLessThanOrEqual(4);
});

test('a value that is set again replaces the old one, also where that has grown old', () => {
  const map = new RecentMap<string, number>(2);
  map.set('a', 1);
  map.set('b', 2);
  map.set('c', 3);
  map.set('a', 4);
  expect(['a', 'b', 'c'].map((key) => map.get(key))).toEqual([4, 2, 3]);
});
