import { createServer } from 'node:net';
import { anyFreePort, freePort, freePorts, isPortFree } from '../../../workers/servers/ports';
import type { DevServerPorts } from '../../../workers/servers/ports';

async function first(wanted: Partial<DevServerPorts>, taken: readonly number[]): Promise<unknown> {
  for await (const ports of freePorts(wanted, (port) => Promise.resolve(!taken.includes(port)))) {
    return ports;
  }
  return undefined;
}

test('the usual ports come first', async () => {
  expect(await first({}, [])).toEqual({ port: 7233, uiPort: 8233 });
});

test('a taken port moves both, so that the pair stays 1000 apart', async () => {
  expect(await first({}, [7233])).toEqual({ port: 7234, uiPort: 8234 });
  expect(await first({}, [8233, 7234])).toEqual({ port: 7235, uiPort: 8235 });
});

test('ports that were asked for are kept', async () => {
  expect(await first({ port: 9000 }, [7233])).toEqual({ port: 9000, uiPort: 10000 });
  expect(await first({ uiPort: 9001 }, [7233])).toEqual({ port: 7234, uiPort: 9001 });
});

test('a port that was asked for and is taken is an error, not another port', async () => {
  await expect(first({ port: 9000 }, [9000])).rejects.toThrow(/no free pair.*from=9000\/10000/);
});

test('a port on which someone listens is not free, on all addresses or on loopback', async () => {
  for (const host of ['127.0.0.1', '0.0.0.0']) {
    const port = await anyFreePort();
    expect(await isPortFree(port)).toBe(true);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, host, resolve));
    expect(await isPortFree(port)).toBe(false);
    await new Promise((resolve) => server.close(resolve));
  }
});

describe('a single port', () => {
  const pick = (wish: Parameters<typeof freePort>[0], taken: readonly number[]): Promise<number> =>
    freePort(wish, (port) => Promise.resolve(!taken.includes(port)));

  test('is the preferred one if that is free, else the first of the others', async () => {
    expect(await pick({ preferred: 9005, from: 9000 }, [])).toBe(9005);
    expect(await pick({ preferred: 9005, from: 9000 }, [9005, 9000])).toBe(9001);
  });

  test('that was asked for is the only one', async () => {
    expect(await pick({ wanted: 9003, preferred: 9005, from: 9000 }, [])).toBe(9003);
    await expect(pick({ wanted: 9003, from: 9000 }, [9003])).rejects.toThrow(/no port is free/);
  });
});
