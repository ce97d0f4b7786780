// Small faults in a source: signs, masks, denominators, comparisons, axes. Each keeps the program well typed.
const ts = require('typescript');

const OPERATORS = new Map([
  [ts.SyntaxKind.PlusToken, '-'],
  [ts.SyntaxKind.MinusToken, '+'],
  [ts.SyntaxKind.AsteriskToken, '/'],
  [ts.SyntaxKind.SlashToken, '*'],
  [ts.SyntaxKind.AsteriskAsteriskToken, '*'],
  [ts.SyntaxKind.PercentToken, '+'],
  [ts.SyntaxKind.LessThanToken, '<='],
  [ts.SyntaxKind.LessThanEqualsToken, '<'],
  [ts.SyntaxKind.GreaterThanToken, '>='],
  [ts.SyntaxKind.GreaterThanEqualsToken, '>'],
  [ts.SyntaxKind.EqualsEqualsEqualsToken, '!=='],
  [ts.SyntaxKind.ExclamationEqualsEqualsToken, '==='],
  [ts.SyntaxKind.AmpersandAmpersandToken, '||'],
  [ts.SyntaxKind.BarBarToken, '&&'],
]);
/** Operators of graphs: what a gradient rule is made of. */
const BUILDER = new Map([
  ['add', 'sub'],
  ['sub', 'add'],
  ['mul', 'div'],
  ['div', 'mul'],
  ['max', 'min'],
  ['min', 'max'],
  ['less', 'lessOrEqual'],
  ['lessOrEqual', 'less'],
  ['greater', 'greaterOrEqual'],
  ['greaterOrEqual', 'greater'],
  ['and', 'or'],
  ['or', 'and'],
  ['reduceSum', 'reduceMean'],
  ['reduceMean', 'reduceSum'],
]);
/** Their first argument comes back instead. */
const DROPPED = new Set(['neg', 'exp', 'log', 'sqrt', 'sigmoid', 'softmax', 'scale', 'addScalar']);
const SWAPPED = new Map([
  ['where', [1, 2]],
  ['sub', [0, 1]],
  ['div', [0, 1]],
]);

/** @returns every fault of a file, in the order of its lines: { start, end, text, line, what }. */
function mutantsOf(sourceFile, checker) {
  const found = [];
  const text = sourceFile.text;
  const add = (start, end, replacement, what) =>
    found.push({
      ...{ start, end, text: replacement, what },
      line: sourceFile.getLineAndCharacterOfPosition(start).line + 1,
    });
  const source = (node) => text.slice(node.getStart(sourceFile), node.end);
  const isNumeric = (node) =>
    (checker.getTypeAtLocation(node).flags & ts.TypeFlags.NumberLike) !== 0;

  function visit(node) {
    // Messages are for people; types, imports and names are no behaviour.
    if (ts.isThrowStatement(node) || ts.isImportDeclaration(node) || ts.isTypeNode(node)) return;
    if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return;
    if (ts.isCallExpression(node) && /^(fail|refuse)$/.test(source(node.expression))) return;
    if (ts.isBinaryExpression(node)) binary(node);
    else if (ts.isPrefixUnaryExpression(node)) unary(node);
    else if (ts.isConditionalExpression(node)) {
      const [yes, no] = [source(node.whenTrue), source(node.whenFalse)];
      add(node.whenTrue.getStart(sourceFile), node.end, `${no} : ${yes}`, 'branches swapped');
    } else if (node.kind === ts.SyntaxKind.TrueKeyword && !ts.isLiteralTypeNode(node.parent)) {
      add(node.getStart(sourceFile), node.end, 'false', 'true → false');
    } else if (node.kind === ts.SyntaxKind.FalseKeyword && !ts.isLiteralTypeNode(node.parent)) {
      add(node.getStart(sourceFile), node.end, 'true', 'false → true');
    } else if (ts.isNumericLiteral(node) && !ts.isPropertyAssignment(node.parent?.parent ?? node)) {
      const value = Number(node.text);
      const other = Number.isInteger(value) ? value + 1 : value * 2;
      add(node.getStart(sourceFile), node.end, String(other), `${node.text} → ${other}`);
    } else if (ts.isCallExpression(node)) call(node);
    ts.forEachChild(node, visit);
  }

  function binary(node) {
    const { operatorToken: token } = node;
    const to = OPERATORS.get(token.kind);
    if (to === undefined) return;
    const isSum = token.kind === ts.SyntaxKind.PlusToken;
    if (isSum && !(isNumeric(node.left) && isNumeric(node.right))) return; // texts
    add(token.getStart(sourceFile), token.end, to, `${token.getText(sourceFile)} → ${to}`);
  }

  function unary(node) {
    const isSign = node.operator === ts.SyntaxKind.MinusToken;
    if (!isSign && node.operator !== ts.SyntaxKind.ExclamationToken) return;
    add(
      node.getStart(sourceFile),
      node.end,
      source(node.operand),
      `${source(node)} without its ${isSign ? 'sign' : 'not'}`,
    );
  }

  function call(node) {
    if (!ts.isPropertyAccessExpression(node.expression)) return;
    const { name, expression } = node.expression;
    const isBuilder = /^(b|builder|this)$/.test(source(expression));
    if (!isBuilder) return;
    const to = BUILDER.get(name.text);
    if (to !== undefined) {
      add(name.getStart(sourceFile), name.end, to, `${name.text} → ${to}`);
    }
    const [first] = node.arguments;
    if (DROPPED.has(name.text) && first !== undefined) {
      add(node.getStart(sourceFile), node.end, source(first), `${name.text} left out`);
    }
    const swap = SWAPPED.get(name.text);
    const [x, y] = (swap ?? []).map((i) => node.arguments[i]);
    if (x !== undefined && y !== undefined) {
      const between = text.slice(x.end, y.getStart(sourceFile));
      add(
        x.getStart(sourceFile),
        y.end,
        source(y) + between + source(x),
        `${name.text}: operands swapped`,
      );
    }
  }

  visit(sourceFile);
  return found.sort((a, b) => a.start - b.start || a.end - b.end);
}

module.exports = { mutantsOf };
