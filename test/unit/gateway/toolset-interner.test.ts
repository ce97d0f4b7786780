import { ToolsetInterner } from '../../../src/gateway/toolset-interner';
import { tools } from './gateway-fixture';

const list = JSON.stringify(tools);

describe('interning of tools', () => {
  test('identical JSON gives the identical object, wherever it stands', () => {
    const interner = new ToolsetInterner();
    const first = interner.parse(`{"model":"m","tools":${list}}`);
    const second = interner.parse(`{ "tools" : ${list} , "model":"n"}`);
    expect(second.toolset).toBe(first.toolset);
    expect(second.body).toEqual({ model: 'n', tools });
    expect((second.body as { tools: unknown }).tools).toBe(first.toolset?.tools);
  });

  test('other spellings are other objects with the same id', () => {
    const interner = new ToolsetInterner();
    const first = interner.parse(`{"tools":${list}}`).toolset;
    const spelled = JSON.stringify(tools.map(({ type, function: f }) => ({ function: f, type })));
    const second = interner.parse(`{"tools":${spelled}}`).toolset;
    expect(second).not.toBe(first);
    expect(second?.id).toBe(first?.id);
    expect(interner.parse(`{"x":1,"tools":${spelled}}`).toolset).toBe(second);
  });

  test('the same list under another key, or quoted in a message, is left alone', () => {
    const interner = new ToolsetInterner();
    interner.parse(`{"tools":${list}}`);
    const nested = interner.parse(`{"metadata":{"tools":${list}}}`);
    expect(nested).toEqual({ body: { metadata: { tools } }, toolset: null });
    const quoted = JSON.stringify({ content: `{"tools":${list}}` });
    expect(interner.parse(quoted)).toEqual({ body: JSON.parse(quoted) as unknown, toolset: null });
    const both = interner.parse(`{"metadata":{"tools":${list}},"tools":${list}}`);
    expect(both.body).toEqual({ metadata: { tools }, tools });
    expect(both.toolset).not.toBeNull();
  });

  test('of a key that occurs twice the last one counts, as in JSON.parse', () => {
    const interner = new ToolsetInterner();
    interner.parse(`{"tools":${list}}`);
    const other = JSON.stringify(tools.slice(1));
    expect(interner.parse(`{"tools":${list},"tools":${other}}`).body).toEqual({
      tools: tools.slice(1),
    });
    expect(interner.parse(`{"tools":${other},"tools":${list}}`).body).toEqual({ tools });
  });

  test('an error behind a known list has its position in the whole body', () => {
    const interner = new ToolsetInterner();
    interner.parse(`{"tools":${list}}`);
    const text = `{"tools":${list},}`;
    expect(() => interner.parse(text)).toThrow(`at position ${text.length - 1}`);
    expect(() => interner.parse(`{"tools":${list}`)).toThrow(/not valid JSON/);
  });

  test('a tool that is not valid is named', () => {
    const interner = new ToolsetInterner();
    expect(() => interner.parse('{"tools":[{"type":"function"}]}')).toThrow(/tools\[0\].function/);
  });

  test('lists with brackets and quotes in strings are remembered', () => {
    const interner = new ToolsetInterner();
    const odd = '[{"type":"function","function":{"name":"a","description":"] \\" \\\\"}}]';
    const first = interner.parse(`{"tools":${odd},"n":1}`).toolset;
    expect(interner.parse(`{"tools":${odd},"n":2}`).toolset).toBe(first);
    expect(first?.tools[0]?.function?.['description']).toBe('] " \\');
  });

  test('more lists than it remembers are still parsed', () => {
    const interner = new ToolsetInterner();
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < 100; i++) {
        const body = `{"tools":[{"type":"function","function":{"name":"tool_${i}"}}]}`;
        expect(interner.parse(body).toolset?.tools[0]?.function?.name).toBe(`tool_${i}`);
      }
    }
  });
});
