import { decideGate, listChanges, type GateInput, type GateRow } from '../../../src/loop/gate';
import { shuffle, stream, type RandomStream } from '../../../src/rl/counter-rng';
import { GateConfig } from '../../../src/schemas/gate-config';
import { pairedClusterBootstrap } from '../../../src/stats/paired-bootstrap';

const config = GateConfig.parse({
  target: 'resolved',
  guardrails: [{ metric: 'escalated', margin: 0.02 }],
  resamples: 1000,
});
const noDrops = { rollouts: 1000, drops: {} };
const drops = { champion: noDrops, candidate: noDrops };

/** `tasks` rows in families of 4: right for champion and candidate where the functions say so. */
function rowsOf(
  metric: string,
  tasks: number,
  champion: (i: number) => number,
  candidate: (i: number) => number,
): GateRow[] {
  return Array.from({ length: tasks }, (_, i) => ({
    metric,
    taskId: `${metric}-${i}`,
    cluster: `family-${Math.floor(i / 4)}`,
    slice: `slice-${i % 3}`,
    champion: champion(i),
    candidate: candidate(i),
  }));
}

const better = rowsOf(
  'resolved',
  200,
  (i) => Number(i % 10 < 7),
  (i) => Number(i % 10 < 9 && i % 41 > 0),
);
const steady = rowsOf(
  'escalated',
  200,
  (i) => Number(i % 5 > 0),
  (i) => Number(i % 5 > 0),
);
const decide = (
  rows: readonly GateRow[],
  rest: Partial<GateInput> = {},
): ReturnType<typeof decideGate> => decideGate({ rows, config, seed: 1, drops, ...rest });

describe('the verdict', () => {
  test('a clear rise with a steady guardrail passes, and says by how much', () => {
    const verdict = decide([...better, ...steady]);
    expect(verdict.decision).toBe('pass');
    expect(verdict.target).toMatchObject({
      metric: 'resolved',
      tasks: 200,
      clusters: 50,
      threshold: 0,
      passed: true,
      better: 40,
      worse: 5,
    });
    expect(verdict.target?.difference).toBeCloseTo(0.175, 12);
    expect(verdict.target?.lower).toBeGreaterThan(0.1);
    expect(verdict.target?.interval[1]).toBeLessThan(0.26);
    expect(verdict.target?.champion).toMatchObject({ value: 0.7, n: 200 });
    expect(verdict.reasons).toEqual([
      expect.stringMatching(
        /^resolved rose by 17\.5 points, from 70\.0 % to 87\.5 %, on 200 tasks from 50 families\. With 95\.0 % confidence the rise is more than 1\d\.\d points\.$/,
      ),
      expect.stringMatching(
        /^escalated did not change.* fell by less than 1\.3 points; up to 2\.0 points is allowed\.$/,
      ),
    ]);
  });

  test('a rise that chance explains fails, and says what the tasks could have shown', () => {
    const slight = rowsOf(
      'resolved',
      100,
      (i) => Number(i % 4 > 0),
      (i) => Number(i % 4 > 0 !== (i % 9 === 0)),
    );
    const verdict = decide([...slight, ...steady]);
    expect(verdict.decision).toBe('fail');
    expect(verdict.reasons[0]).toMatch(
      /no rise is shown. With n = 100 a true rise of 1?\d\.\d points would be shown four times in five/,
    );
  });

  test('a guardrail that fell fails the gate, whatever the target gained', () => {
    const fallen = rowsOf(
      'escalated',
      200,
      () => 1,
      (i) => Number(i % 20 > 0),
    );
    const verdict = decide([...better, ...fallen]);
    expect(verdict).toMatchObject({ decision: 'fail', target: { passed: true } });
    expect(verdict.guardrails).toMatchObject([{ passed: false, threshold: -0.02 }]);
    expect(verdict.reasons[1]).toMatch(
      /^escalated fell by 5\.0 points.*cannot be excluded; up to 2\.0 points is allowed/,
    );
  });

  test('fifty spotless guardrail tasks cannot exclude a drop of 2 points, and the reason says so', () => {
    const few = rowsOf(
      'escalated',
      50,
      () => 1,
      () => 1,
    );
    const verdict = decide([...better, ...few]);
    expect(verdict.decision).toBe('fail');
    expect(verdict.guardrails[0]?.lower).toBeCloseTo(-0.0513, 4);
    expect(verdict.reasons[1]).toContain(
      'With n = 50 the smallest drop that could be excluded is 5.1 points (were no change seen at all); more tasks would narrow it.',
    );
  });

  test('a candidate that answers exactly as the champion does not pass', () => {
    const same = better.map((row) => ({ ...row, candidate: row.champion }));
    expect(decide([...same, ...steady])).toMatchObject({
      decision: 'fail',
      target: { difference: 0 },
    });
  });

  test('a bound that is 0 but for rounding is not above 0', () => {
    const [champion, candidate] = [
      [0.3, 0, 0],
      [0, 0.1, 0.2],
    ] as const;
    const cancelling = Array.from({ length: 60 }, (_, i) => ({
      metric: 'resolved',
      taskId: `t${i}`,
      cluster: `c${Math.floor(i / 3)}`,
      slice: 's',
      champion: champion[i % 3] ?? 0,
      candidate: candidate[i % 3] ?? 0,
    }));
    const verdict = decide([...cancelling, ...steady]);
    expect(verdict.target?.lower).toBeGreaterThan(0); // −0.3 + 0.1 + 0.2 is 3e-17
    expect(verdict.decision).toBe('fail');
  });

  test('scores outside [0, 1] are compared in their own units', () => {
    const latency = rowsOf(
      'resolved',
      80,
      () => -900,
      (i) => -700 - (i % 7),
    );
    const verdict = decide([...latency, ...steady]);
    expect(verdict.decision).toBe('pass');
    expect(verdict.reasons[0]).toMatch(
      /^resolved rose by 197, from -900\.0 to -702\.9, on 80 tasks from 20 families\..* more than 197\.$/,
    );
  });

  test('neither the order of the rows nor the names of families and tasks change the verdict', () => {
    const rows = [...better, ...steady];
    const expected = decide(rows);
    expect(decide(shuffle(rows, stream({ seed: 2, purpose: 'test.order' })))).toEqual(expected);
    const renamed = rows.map((row) => ({
      ...row,
      taskId: `task ${row.taskId}`,
      cluster: [...row.cluster].reverse().join(''),
    }));
    expect(decide(renamed)).toEqual(expected);
  });

  test('survives JSON unchanged: it crosses the workflow boundary', () => {
    const verdict = decide([...better, ...steady]);
    expect(JSON.parse(JSON.stringify(verdict))).toEqual(verdict);
  });
});

describe('refusals', () => {
  const rows = [...better, ...steady];
  const dropping = (champion: number, candidate: number, rollouts = 1000): GateInput['drops'] => ({
    champion: { rollouts, drops: champion === 0 ? {} : { timeout: champion } },
    candidate: { rollouts, drops: candidate === 0 ? {} : { timeout: candidate } },
  });
  const refusal = (verdict: ReturnType<typeof decideGate>): string => {
    expect(verdict.decision).toBe('refuse');
    return verdict.reasons[0] ?? '';
  };

  test('above 5 % drops in either arm, with the reasons counted', () => {
    expect(refusal(decide(rows, { drops: dropping(60, 60) }))).toMatch(
      /champion lost too much.*timeout 60/,
    );
    expect(refusal(decide(rows, { drops: dropping(45, 51) }))).toMatch(
      /candidate lost too much.*5\.1 %/,
    );
    expect(decide(rows, { drops: dropping(50, 50) }).decision).toBe('pass');
  });

  test('where the arms drop differently, though both stay below 5 %', () => {
    expect(refusal(decide(rows, { drops: dropping(4, 30) }))).toMatch(
      /different shares.*champion 0\.4 %, candidate 3\.0 %/,
    );
  });

  test('where a difference in drops too small for the test could have made the pass', () => {
    const spotless = rowsOf(
      'escalated',
      300,
      () => 1,
      () => 1,
    );
    const narrow = [...better, ...spotless];
    expect(decide(narrow, { drops: dropping(10, 10) }).decision).toBe('pass');
    expect(decide(narrow, { drops: dropping(4, 8, 2000) }).decision).toBe('pass');
    // 2 against 11 of 1000 for 500 tasks: Fisher p = 0.02, yet 4.5 hidden failures among 300 tasks would break the guardrail.
    const verdict = decide(narrow, { drops: dropping(2, 11) });
    expect(verdict.drops.fisherP).toBeGreaterThan(0.01);
    expect(refusal(verdict)).toMatch(
      /escalated passes only if the rollouts.*champion 2, candidate 11/,
    );
    expect(refusal(decide(narrow, { drops: dropping(11, 2) }))).toMatch(/escalated passes only if/);
  });

  test('without tasks of the target or of a guardrail', () => {
    expect(refusal(decide(steady))).toBe('No task was scored by resolved in both arms.');
    expect(decide(steady).target).toBeNull();
    expect(refusal(decide(better))).toBe('No task was scored by escalated in both arms.');
  });

  test('with fewer target tasks than asked for', () => {
    const few = rowsOf(
      'resolved',
      28,
      () => 0,
      () => 1,
    ).map((row, i) => ({ ...row, cluster: `${i % 14}` }));
    expect(refusal(decide([...few, ...steady]))).toMatch(/28 tasks are too few; at least 30/);
  });

  test('below ten families, instead of quietly taking tasks for families', () => {
    const narrow = better.map((row, i) => ({ ...row, cluster: `family-${i % 9}` }));
    expect(refusal(decide([...narrow, ...steady]))).toMatch(/200 tasks from 9 task families/);
    const narrowGuardrail = steady.map((row) => ({ ...row, cluster: 'out-of-scope' }));
    expect(refusal(decide([...better, ...narrowGuardrail]))).toMatch(
      /escalated: 200 tasks from 1 task/,
    );
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])('with a score of %p', (score) => {
    const [first, ...others] = better;
    if (first === undefined) throw new Error('no rows');
    const spoiled = [{ ...first, candidate: score }, ...others];
    expect(refusal(decide([...spoiled, ...steady]))).toMatch(/1 of 200 tasks have no finite score/);
  });

  test('with a task that counts twice', () => {
    expect(refusal(decide([...rows, ...better.slice(0, 3)]))).toMatch(/3 tasks are listed twice/);
  });

  test('with drop counts that make no sense', () => {
    expect(refusal(decide(rows, { drops: dropping(0, 1200) }))).toMatch(/candidate's drop counts/);
    expect(refusal(decide(rows, { drops: dropping(0, 0, 0) }))).toMatch(/champion's drop counts/);
  });

  test('with a confidence that the resamples cannot reach', () => {
    const strict = { ...config, confidence: 0.9999 };
    expect(refusal(decide(rows, { config: strict }))).toMatch(/ask for more resamples/);
  });
});

test('changes are listed for one metric', () => {
  const changes = listChanges([...better, ...steady], { metric: 'resolved', limit: 5 });
  expect(changes.fixed.count).toBe(40);
  // 0, 41, 82, 123 and 164 broke; their slices are 0, 2, 1, 0 and 2.
  expect(changes.broken).toEqual({
    count: 5,
    taskIds: ['resolved-0', 'resolved-123', 'resolved-82', 'resolved-164', 'resolved-41'],
  });
  expect(changes.slices.map(({ slice }) => slice)).toEqual(['slice-0', 'slice-1', 'slice-2']);
});

// ---- error rates by simulation: what the gate promises, counted ----

interface World {
  readonly families: number;
  readonly perFamily: number;
  readonly repeats: number;
  /** True rise of every task. */
  readonly effect?: number;
  /** The rise of a family varies uniformly by this much either way: families rise and fall together. */
  readonly familyEffect?: number;
}

/** Beta(2, 2): the middle of three uniform numbers. */
function difficulty(random: RandomStream): number {
  return [random.next(), random.next(), random.next()].sort((a, b) => a - b)[1] ?? 0.5;
}

function simulate(world: World, random: RandomStream): GateRow[] {
  const mean = (p: number): number => {
    let right = 0;
    for (let k = 0; k < world.repeats; k++) if (random.next() < p) right++;
    return right / world.repeats;
  };
  const rows: GateRow[] = [];
  for (let f = 0; f < world.families; f++) {
    const shift = (world.effect ?? 0) + (world.familyEffect ?? 0) * (2 * random.next() - 1);
    for (let i = 0; i < world.perFamily; i++) {
      const p = difficulty(random);
      rows.push({
        metric: 'resolved',
        taskId: `${f}.${i}`,
        cluster: `${f}`,
        slice: 's',
        champion: mean(p),
        candidate: mean(Math.min(1, Math.max(0, p + shift))),
      });
    }
  }
  return rows;
}

const meanDifference = (rows: readonly GateRow[]): number =>
  rows.reduce((sum, row) => sum + row.candidate - row.champion, 0) / rows.length;

/** The share of `gates` simulated gates that each rule accepts. */
function acceptance<K extends string>(
  gates: number,
  seed: number,
  draw: (random: RandomStream) => GateRow[],
  rules: Record<K, (rows: GateRow[], gate: number) => boolean>,
): Record<K, number> {
  const accepted = Object.fromEntries(Object.keys(rules).map((rule) => [rule, 0])) as Record<
    K,
    number
  >;
  for (let gate = 0; gate < gates; gate++) {
    const rows = draw(stream({ seed, purpose: 'test.simulation', iteration: gate }));
    for (const rule of Object.keys(rules) as K[])
      if (rules[rule](rows, gate)) accepted[rule] += 1 / gates;
  }
  return accepted;
}

const only = GateConfig.parse({ target: 'resolved', resamples: 400 });
const gateAccepts = (rows: GateRow[], gate: number): boolean =>
  decideGate({ rows, config: only, seed: gate, drops }).decision === 'pass';
/** 5 % and three standard errors of a share among that many gates. */
const atMost = (gates: number): number => 0.05 + 3 * Math.sqrt((0.05 * 0.95) / gates);

describe('error rates', () => {
  test('a candidate no better than the champion passes at most 5 % of the time; “mean is higher” takes nearly half', () => {
    const rates = acceptance(
      1500,
      1,
      (random) => simulate({ families: 50, perFamily: 2, repeats: 1 }, random),
      { gate: gateAccepts, meanIsHigher: (rows) => meanDifference(rows) > 0 },
    );
    expect(rates.gate).toBeLessThan(atMost(1500));
    expect(rates.gate).toBeGreaterThan(0.02); // and it is not merely shut
    expect(rates.meanIsHigher).toBeGreaterThan(0.42);
    expect(rates.meanIsHigher).toBeLessThan(0.53);
  });

  test('the same where whole families rise and fall; without families it would be twice as often', () => {
    const draw = (random: RandomStream): GateRow[] =>
      simulate({ families: 20, perFamily: 10, repeats: 2, familyEffect: 0.4 }, random);
    expect(acceptance(1500, 2, draw, { gate: gateAccepts }).gate).toBeLessThan(atMost(1500));
    const blind = acceptance(200, 2, draw, {
      tasksAsFamilies: (rows, gate) =>
        gateAccepts(
          rows.map((row) => ({ ...row, cluster: row.taskId })),
          gate,
        ),
    });
    expect(blind.tasksAsFamilies).toBeGreaterThan(0.09);
  });

  test('the same at the fewest families it takes', () => {
    const rates = acceptance(
      600,
      3,
      (random) => simulate({ families: 10, perFamily: 5, repeats: 1, familyEffect: 0.2 }, random),
      { gate: gateAccepts },
    );
    expect(rates.gate).toBeLessThan(atMost(600));
  });

  test.each([
    [50, 0.3],
    [200, 0.06],
  ])(
    'a guardrail of %p tasks that truly fell by its margin passes at most 5 % of the time; the bare bootstrap passes more than %p',
    (tasks, bareRate) => {
      const rising = rowsOf(
        'resolved',
        40,
        () => 0,
        () => 1,
      );
      const guarded = GateConfig.parse({
        target: 'resolved',
        guardrails: [{ metric: 'escalated', margin: 0.02 }],
        resamples: 400,
      });
      const rates = acceptance(
        600,
        4,
        (random) =>
          rowsOf(
            'escalated',
            tasks,
            () => 1,
            () => Number(random.next() >= 0.02),
          ).map((row, i) => ({
            ...row,
            cluster: `family-${i % 25}`,
          })),
        {
          gate: (rows, gate) =>
            decideGate({ rows: [...rising, ...rows], config: guarded, seed: gate, drops })
              .decision === 'pass',
          bootstrap: (rows, gate) =>
            pairedClusterBootstrap({
              pairs: rows.map((row) => ({
                cluster: row.cluster,
                difference: row.candidate - row.champion,
              })),
              confidence: 0.95,
              resamples: 400,
              random: stream({ seed: gate, purpose: 'test.bootstrap' }),
            }).lower > -0.02,
        },
      );
      expect(rates.gate).toBeLessThan(atMost(600));
      expect(rates.bootstrap).toBeGreaterThan(bareRate);
    },
  );

  test('a true rise of 5 points passes about 92 % of the time with 400 tasks of 4 repeats', () => {
    const gates = 500;
    const rates = acceptance(
      gates,
      5,
      (random) => simulate({ families: 100, perFamily: 4, repeats: 4, effect: 0.05 }, random),
      { gate: gateAccepts },
    );
    expect(Math.abs(rates.gate - 0.92)).toBeLessThan(3 * Math.sqrt((0.92 * 0.08) / gates));
  });
});
