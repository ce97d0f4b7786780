import { TransientError } from '../src/errors';
import type { Fleet, FleetReport } from '../src/gateway/fleet';
import type { FromProcess } from './gateway-messages';
import { ToProcess } from './gateway-messages';

/** Longer than the primary waits for the slowest of the others. */
const ANSWER_MS = 5_000;

/** The channel to the process that started this one. */
export interface Channel {
  send(message: FromProcess): void;
  onMessage(listener: (message: unknown) => void): void;
}

/** The fleet, as one of the processes sees it that ./gateway-processes.ts starts. */
export function createFleet(channel: Channel): Fleet {
  const asked = new Map<number, (report: FleetReport) => void>();
  let ids = 0;
  return {
    join(own) {
      channel.onMessage((received) => {
        const message = ToProcess.parse(received);
        if (message.type === 'report') {
          channel.send({ type: 'reported', id: message.id, metrics: [...own()] });
          return;
        }
        asked.get(message.id)?.(message);
        asked.delete(message.id);
      });
      return () =>
        new Promise((resolve, reject) => {
          const id = ++ids;
          const timer = setTimeout(() => {
            asked.delete(id);
            reject(
              new TransientError(
                `the gateway’s first process did not say how the others are within ${ANSWER_MS} ms`,
              ),
            );
          }, ANSWER_MS);
          asked.set(id, (report) => {
            clearTimeout(timer);
            resolve(report);
          });
          channel.send({ type: 'gather', id });
        });
    },
  };
}

/** That of this process, if it was started as one of several. */
export function processChannel(): Channel {
  return {
    send: (message) => void process.send?.(message),
    onMessage: (listener) => void process.on('message', listener),
  };
}
