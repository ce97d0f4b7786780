import { learningRateAt, Schedule } from '../../../src/optim/schedule';

const ratesOf = (schedule: unknown, steps: readonly number[]): number[] => {
  const parsed = Schedule.parse(schedule);
  return steps.map((step) => Number(learningRateAt(parsed, 2, step).toFixed(12)));
};

test('a constant rate is constant, after its warm-up', () => {
  expect(ratesOf({ form: 'constant' }, [0, 1, 1000])).toEqual([2, 2, 2]);
  expect(ratesOf({ form: 'constant', warmUpSteps: 4 }, [0, 1, 3, 4, 100])).toEqual([
    0, 0.5, 1.5, 2, 2,
  ]);
});

test('linear: transformers’ get_linear_schedule_with_warmup', () => {
  // max(0, (total − step) / (total − warm-up))
  const schedule = { form: 'linear', warmUpSteps: 2, totalSteps: 10 };
  expect(ratesOf(schedule, [0, 1, 2, 4, 6, 9, 10, 50])).toEqual([0, 1, 2, 1.5, 1, 0.25, 0, 0]);
});

test('cosine: transformers’ get_cosine_schedule_with_warmup', () => {
  // (1 + cos(π · progress)) / 2; at a quarter 0.853553…, at the half 0.5
  const schedule = { form: 'cosine', warmUpSteps: 2, totalSteps: 10 };
  expect(ratesOf(schedule, [0, 2, 4, 6, 8, 10, 11])).toEqual([
    ...[0, 2, 1.707106781187, 1, 0.292893218813, 0, 0],
  ]);
});

test('a final ratio is what is left at the end, and what is above it follows the form', () => {
  expect(ratesOf({ form: 'linear', totalSteps: 4, finalRatio: 0.5 }, [0, 2, 4, 9])).toEqual([
    2, 1.5, 1, 1,
  ]);
  expect(ratesOf({ form: 'cosine', totalSteps: 4, finalRatio: 0.1 }, [0, 2, 4])).toEqual([
    2, 1.1, 0.2,
  ]);
});

test.each([
  [{ form: 'cosine' }, /totalSteps/],
  [{ form: 'linear', totalSteps: 4, warmUpSteps: 4 }, /fewer warm-up steps/],
  [{ form: 'exponential', totalSteps: 4 }, /form/],
  [{ form: 'linear', totalSteps: 4, finalRatio: 2 }, /finalRatio/],
])('%j is refused', (schedule, message) => {
  expect(Schedule.safeParse(schedule).error?.message).toMatch(message);
});
