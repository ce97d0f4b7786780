import { createOutputTail, lastLine } from '../../src/adapters/agents/output-tail';

/** The last line of `chunks`, read with room for `limitBytes`. */
function lastLineOf(chunks: readonly string[], limitBytes = 100): string | null {
  const tail = createOutputTail(limitBytes);
  for (const chunk of chunks) tail.push(Buffer.from(chunk));
  return lastLine(tail);
}

describe('the tail of an agent’s output', () => {
  it('keeps at least as much as its limit, however the output is cut into chunks', () => {
    const tail = createOutputTail(4);
    for (const chunk of ['ab', 'cd', 'ef', 'g']) tail.push(Buffer.from(chunk));
    expect(tail.bytes().toString()).toBe('cdefg');
    expect(tail.isTruncated).toBe(true);
    const one = createOutputTail(4);
    one.push(Buffer.from('abcdefg'));
    expect(one.bytes().toString()).toBe('abcdefg');
    expect(one.isTruncated).toBe(false);
  });

  it('has the last line with anything in it for its last line', () => {
    expect(lastLineOf(['noise\n{"a":1}\n'])).toBe('{"a":1}');
    expect(lastLineOf(['noise\n{"a"', ':1}'])).toBe('{"a":1}');
    expect(lastLineOf(['{"a":1}\r\n \t\r\n\n'])).toBe('{"a":1}');
    expect(lastLineOf(['{"a":1}'])).toBe('{"a":1}');
    expect(lastLineOf([])).toBeNull();
    expect(lastLineOf([' \n\n'])).toBeNull();
  });

  it('does not take the end of a line for a line', () => {
    expect(lastLineOf(['"0123456', '789"\n'], 4)).toBeNull();
    expect(lastLineOf(['noise', '\n', '"1"\n'], 5)).toBe('"1"');
  });
});
