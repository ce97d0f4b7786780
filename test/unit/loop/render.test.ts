import { execFileSync } from 'node:child_process';
import {
  approvalLine,
  renderEvaluation,
  renderPromotion,
  renderRun,
  retryLine,
} from '../../../src/loop/render';
import type { RunPhase, RunStatus } from '../../../src/loop/run-state';
import { digest } from '../../fakes/fake-activities';
import { point, request, runStatus, summary } from './run-views';

const render = (rest: Partial<RunStatus> = {}, workflowId = 'desk-1'): string =>
  renderRun(runStatus(rest), workflowId, ['ops-lead', 'cto']).replaceAll('\u00a0', '');
const inPhase = (phase: RunPhase, workflowId?: string): string => render({ phase }, workflowId);

const line = 'temporal workflow signal -w desk-1.gate-1 --name retry';

const approveLine =
  'temporal workflow update execute -w desk-1 --name review --input ' +
  `'{"candidate":"000000000000","by":"ops-lead","decision":"approve"}'`;

/** The words that a shell makes of a line. */
const wordsOf = (line: string): string[] =>
  execFileSync('sh', ['-c', `temporal() { printf '%s\\0' "$@"; }; ${line}`], { encoding: 'utf8' })
    .split('\0')
    .slice(0, -1);

describe('the current details of a run', () => {
  it.each<[RunPhase, string]>([
    [{ kind: 'preparing' }, '**preparing**'],
    [{ kind: 'creating-policy' }, '**creating-policy**'],
    [{ kind: 'rolling-out', iteration: 2 }, '**Iteration 3 of 8: rolling-out**'],
    [{ kind: 'scoring', iteration: 0 }, '**Iteration 1 of 8: scoring**'],
    [{ kind: 'training', iteration: 7 }, '**Iteration 8 of 8: training**'],
    [{ kind: 'selecting', iteration: 0 }, '**Iteration 1 of 8: selecting**'],
    [{ kind: 'gating', candidate: digest(0xc) }, '**gating** candidate 000000000000'],
    [{ kind: 'reporting', candidate: digest(0xc) }, '**reporting** candidate 000000000000'],
    [{ kind: 'promoting', candidate: digest(0xc) }, '**promoting** candidate 000000000000'],
    [{ kind: 'awaiting-approval', request }, `\n${approveLine}\n`],
    [
      { kind: 'awaiting-approval', request },
      '**Approve 000000000000?** by ops-lead, cto, until 2026-12-01T08:00:00.000Z',
    ],
    [
      { kind: 'paused', iteration: 2 },
      '\ntemporal workflow signal -w desk-1 --name resume\n', // and what it does stands above it
    ],
    [
      {
        kind: 'needs-attention',
        step: 'training of iteration 2',
        reason: 'the disk is full',
        line,
      },
      '**Needs attention** at training of iteration 2: the disk is full',
    ],
    [
      { kind: 'needs-attention', step: 'training', reason: 'the disk is full', line },
      `\n${line}\n`,
    ],
    [
      { kind: 'needs-attention', step: 'training', reason: 'the disk is full', line },
      '\ntemporal workflow signal -w desk-1 --name stop\n',
    ],
    [{ kind: 'paused', iteration: 8 }, '**Paused** before the evaluation.'],
    [
      { kind: 'done', outcome: { kind: 'stopped', step: 'training', reason: 'the disk is full' } },
      '**stopped** at training: the disk is full',
    ],
    [
      { kind: 'done', outcome: { kind: 'gate-not-passed', reasons: ['no rise', 'too few'] } },
      '**gate-not-passed**: no rise; too few',
    ],
    [
      { kind: 'done', outcome: { kind: 'no-better-checkpoint', reason: 'none was measured' } },
      '**no-better-checkpoint**: none was measured',
    ],
    [
      { kind: 'done', outcome: { kind: 'rejected', by: 'cto', comment: 'too early' } },
      '**rejected** by cto: too early',
    ],
    [
      { kind: 'done', outcome: { kind: 'approval-expired', deadline: request.deadline } },
      'nobody decided by 2026-12-01T08:00:00.000Z',
    ],
    [
      {
        kind: 'done',
        outcome: {
          ...{ kind: 'promoted', promotion: 'promotion.support' },
          champion: { digest: digest(0xc), generation: 2 },
        },
      },
      `temporal workflow signal -w promotion.support --name rollback --input '{"by":"…"}'`,
    ],
  ])('in phase %j say %j', (phase, line) => {
    expect(inPhase(phase)).toContain(line);
  });

  it('say what to do before anything else', () => {
    const text = render({
      phase: { kind: 'awaiting-approval', request },
      ...{ points: [point(1), point(2)], gate: summary(), report: summary({ split: 'report' }) },
    });
    const positions = ['Approve', approveLine, 'Gate: pass', 'Report', '| iteration |'].map(
      (part) => text.indexOf(part),
    );
    expect(positions).toEqual([...positions].sort((a, b) => a - b));
    expect(positions).not.toContain(-1);
  });

  it('list the evidence, metric by metric', () => {
    expect(render({ gate: summary() })).toContain(
      '| resolved | 1000 | 70.0 % (69.0–71.0) | 88.0 % (87.0–89.0) | +18.0 | +15.5 |',
    );
    expect(render({ gate: summary() })).toContain('(200 tasks fixed, 20 newly broken)');
  });

  it('list the newest iterations with what was dropped', () => {
    const text = render({
      points: [point(1), point(2, { dropped: 10, loss: null, select: null })],
    });
    expect(text).toContain(
      '| 1 | 1000 | 0 | 70.0 % (69.0–71.0) | 75.0 % (74.0–76.0) | 0.500 | 000000000000 |',
    );
    expect(text).toContain('| 2 | 1000 | 10 (1.0 %) | 70.0 % (69.0–71.0) | – | – |');
  });

  it('name each ignored message with its reason', () => {
    const refusals = [{ message: 'approve', reason: 'eve may not', at: request.requestedAt }];
    expect(render({ refusals })).toContain('- `approve` at 2026-11-24T08:00:00.000Z: eve may not');
  });

  it('keep their lists and tables whole whatever a reason holds', () => {
    const nasty = 'first | second\n\n| --- |\n# not a heading';
    const text = render({
      gate: summary({
        reasons: [nasty],
        guardrails: [{ ...summary().target, metric: 'a | b\nc' } as never],
      }),
      refusals: [{ message: 'approve', reason: nasty, at: request.requestedAt }],
      points: [point(1)],
    });
    const lines = text.split('\n');
    expect(lines.filter((line) => line.startsWith('# '))).toEqual([]);
    const cells = (line: string): number => line.replaceAll('\\|', '').split('|').length;
    const tables = lines.filter((line) => line.startsWith('|'));
    expect(new Set(tables.map(cells))).toEqual(new Set([8, 9])); // six columns, seven columns
  });

  const long = 'the upstream answered 503 | again 💥\n'.repeat(500);
  const refusals = Array.from({ length: 10 }, () => ({
    ...{ message: 'approve', reason: long, at: request.requestedAt },
  }));
  const gate = summary({ reasons: new Array<string>(20).fill(long) });
  const points = Array.from({ length: 1000 }, (_, index) => point(index + 1, { dropped: 7 }));
  const phases: readonly RunPhase[] = [
    { kind: 'awaiting-approval', request },
    { kind: 'needs-attention', step: 'training', reason: long, line },
    { kind: 'done', outcome: { kind: 'gate-not-passed', reasons: gate.reasons } },
  ];

  it.each(phases)('stay under 8 KB after 1,000 iterations, in phase $kind', (phase) => {
    const plain = render({ phase, points, iterations: 1000, of: 1000, gate: summary() });
    expect(Buffer.byteLength(plain)).toBeLessThan(8 * 1024);
    expect(plain).toContain('| 1000 | 1000 | 7 (0.7 %) |'); // the newest is there
    const worst = render({ phase, points, gate, report: gate, refusals });
    expect(Buffer.byteLength(worst)).toBeLessThan(8 * 1024);
  });

  it('keep the line that approves however long the rest is', () => {
    const [phase] = phases;
    const text = render({ phase: phase as RunPhase, points, gate, report: gate, refusals });
    expect(text).toContain(approveLine);
  });
});

describe('a line to paste', () => {
  it.each([
    'support-desk-1',
    'promotion.support',
    'a b',
    `it's`,
    '$(touch /tmp/owned)',
    '`id`; exit 1 & "x" \\',
  ])('names the workflow %j and nothing else', (workflowId) => {
    expect(wordsOf(retryLine(workflowId))).toEqual(
      ['workflow', 'signal', '-w', workflowId, '--name', 'retry'], // prettier-ignore
    );
  });

  it.each(['ops-lead', `O'Brien`, 'Zoë "Z" $HOME'])('carries the approver %j', (by) => {
    const words = wordsOf(approvalLine('desk 1', request, by, 'reject'));
    expect(words.slice(0, -1)).toEqual(
      ['workflow', 'update', 'execute', '-w', 'desk 1', '--name', 'review', '--input'], // prettier-ignore
    );
    expect(JSON.parse(words.at(-1) ?? '')).toEqual({
      ...{ candidate: '000000000000', by, decision: 'reject' },
    });
  });
});

describe('the current details of a promotion and of an evaluation', () => {
  it('begin with what it waits for', () => {
    const view = { policy: 'support', workflowId: 'promotion.support', refusals: [] };
    const text = renderPromotion({ ...view, headline: ['**watching**'], gate: summary() });
    expect(text.split('\n').slice(0, 2)).toEqual(['### Promotion of support', '**watching**']);
    expect(text).toContain('**Gate: pass**');
  });

  it('hold the result once there is one', () => {
    expect(renderEvaluation('support', 'rolling-out', null)).toBe(
      '### Evaluation of support\n**rolling-out**',
    );
    expect(renderEvaluation('support', 'done', summary())).toContain('**Result: pass**');
  });

  it('hold the line that continues an evaluation which waits for somebody', () => {
    expect(renderEvaluation('support', 'needs-attention: comparing: no disk', null, line)).toBe(
      `### Evaluation of support\n**needs-attention: comparing: no disk**\n\n\`\`\`\n${line}\n\`\`\``,
    );
  });
});
