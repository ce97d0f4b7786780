import { MockActivityEnvironment } from '@temporalio/testing';
import { z } from 'zod';
import { attemptName, resumeDetails, startHeartbeat } from '../../activities/heartbeat';

const Details = z.strictObject({ done: z.int() });

describe('a heartbeat', () => {
  const beatsOf = async (run: () => Promise<unknown>): Promise<unknown[]> => {
    const environment = new MockActivityEnvironment();
    const beats: unknown[] = [];
    environment.on('heartbeat', (details) => beats.push(details));
    await environment.run(run);
    return beats;
  };
  afterEach(() => jest.useRealTimers());

  it('beats at once, every second with the newest details, and once more when it stops', async () => {
    jest.useFakeTimers();
    const beats = await beatsOf(async () => {
      const heartbeat = startHeartbeat({ done: 0 });
      heartbeat.set({ done: 1 });
      jest.advanceTimersByTime(1_000);
      jest.advanceTimersByTime(1_000);
      heartbeat.set({ done: 2 });
      heartbeat.stop();
    });
    expect(beats).toEqual([{ done: 0 }, { done: 1 }, { done: 1 }, { done: 2 }]);
  });

  it('is silent after it was stopped', async () => {
    jest.useFakeTimers();
    const beats = await beatsOf(async () => {
      startHeartbeat({ done: 0 }).stop();
      jest.advanceTimersByTime(60_000);
    });
    expect(beats).toHaveLength(2);
  });
});

describe('the details that an attempt resumes from', () => {
  const resumeFrom = (heartbeatDetails: unknown): Promise<unknown> =>
    new MockActivityEnvironment({ heartbeatDetails }).run(async () => resumeDetails(Details));

  it('are those of the last heartbeat', async () => {
    await expect(resumeFrom({ done: 7 })).resolves.toEqual({ done: 7 });
  });

  it.each([undefined, null, 'text', { finished: 7 }, { done: 7, more: true }])(
    'are none where it left %j',
    async (details) => {
      await expect(resumeFrom(details)).resolves.toBeNull();
    },
  );
});

describe('the name of an attempt', () => {
  it('says which activity, which attempt and which process', async () => {
    const environment = new MockActivityEnvironment({ activityId: '5', attempt: 3 });
    await expect(environment.run(async () => attemptName('beef'))).resolves.toBe('5-3-beef');
  });
});
