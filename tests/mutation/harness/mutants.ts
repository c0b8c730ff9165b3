import ts from 'typescript';

/** Kind of change; the lists of survivors use it. */
type Kind =
  | 'arithmetic'
  | 'bitwise'
  | 'equality'
  | 'logical'
  | 'condition'
  | 'boolean'
  | 'string'
  | 'regex'
  | 'array'
  | 'object'
  | 'unary'
  | 'update'
  | 'assignment'
  | 'optional'
  | 'block'
  | 'case';

/** One small change of one file. */
export interface Mutant {
  readonly kind: Kind;
  /** `source.slice(start, end)` is replaced. */
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
  /** 1 for the first. */
  readonly line: number;
  /** The names around it, outermost first: `FrameHeader.read`. Empty for the top of the file. */
  readonly within: string;
}

const OPERATORS: Readonly<Partial<Record<ts.SyntaxKind, readonly [Kind, ...string[]]>>> = {
  [ts.SyntaxKind.PlusToken]: ['arithmetic', '-'],
  [ts.SyntaxKind.MinusToken]: ['arithmetic', '+'],
  [ts.SyntaxKind.AsteriskToken]: ['arithmetic', '/'],
  [ts.SyntaxKind.SlashToken]: ['arithmetic', '*'],
  [ts.SyntaxKind.PercentToken]: ['arithmetic', '*'],
  [ts.SyntaxKind.AmpersandToken]: ['bitwise', '|'],
  [ts.SyntaxKind.BarToken]: ['bitwise', '&'],
  [ts.SyntaxKind.CaretToken]: ['bitwise', '|'],
  [ts.SyntaxKind.LessThanLessThanToken]: ['bitwise', '>>'],
  [ts.SyntaxKind.GreaterThanGreaterThanToken]: ['bitwise', '<<'],
  [ts.SyntaxKind.GreaterThanGreaterThanGreaterThanToken]: ['bitwise', '<<'],
  [ts.SyntaxKind.LessThanToken]: ['equality', '<=', '>='],
  [ts.SyntaxKind.LessThanEqualsToken]: ['equality', '<', '>'],
  [ts.SyntaxKind.GreaterThanToken]: ['equality', '>=', '<='],
  [ts.SyntaxKind.GreaterThanEqualsToken]: ['equality', '>', '<'],
  [ts.SyntaxKind.EqualsEqualsEqualsToken]: ['equality', '!=='],
  [ts.SyntaxKind.ExclamationEqualsEqualsToken]: ['equality', '==='],
  [ts.SyntaxKind.AmpersandAmpersandToken]: ['logical', '||'],
  [ts.SyntaxKind.BarBarToken]: ['logical', '&&'],
  [ts.SyntaxKind.QuestionQuestionToken]: ['logical', '&&'],
  [ts.SyntaxKind.PlusEqualsToken]: ['assignment', '-='],
  [ts.SyntaxKind.MinusEqualsToken]: ['assignment', '+='],
  [ts.SyntaxKind.AsteriskEqualsToken]: ['assignment', '/='],
  [ts.SyntaxKind.SlashEqualsToken]: ['assignment', '*='],
  [ts.SyntaxKind.PercentEqualsToken]: ['assignment', '*='],
  [ts.SyntaxKind.AmpersandEqualsToken]: ['assignment', '|='],
  [ts.SyntaxKind.BarEqualsToken]: ['assignment', '&='],
  [ts.SyntaxKind.CaretEqualsToken]: ['assignment', '|='],
  [ts.SyntaxKind.LessThanLessThanEqualsToken]: ['assignment', '>>='],
  [ts.SyntaxKind.GreaterThanGreaterThanEqualsToken]: ['assignment', '<<='],
  [ts.SyntaxKind.GreaterThanGreaterThanGreaterThanEqualsToken]: ['assignment', '<<='],
  [ts.SyntaxKind.AmpersandAmpersandEqualsToken]: ['assignment', '||='],
  [ts.SyntaxKind.BarBarEqualsToken]: ['assignment', '&&='],
  [ts.SyntaxKind.QuestionQuestionEqualsToken]: ['assignment', '&&='],
};

/** All mutants of a file, in the order of the source. */
export function mutantsOf(source: ts.SourceFile): Mutant[] {
  const found: Mutant[] = [];
  const names: string[] = [];

  function add(kind: Kind, start: number, end: number, replacement: string): void {
    const line = source.getLineAndCharacterOfPosition(start).line + 1;
    found.push({ kind, start, end, replacement, line, within: names.join('.') });
  }

  function replace(kind: Kind, node: ts.Node, ...replacements: readonly string[]): void {
    for (const text of replacements) add(kind, node.getStart(source), node.end, text);
  }

  function visit(node: ts.Node): void {
    if (isSilent(node)) return;
    const name = nameOf(node, source);
    if (name !== undefined) names.push(name);
    mutate(node);
    ts.forEachChild(node, visit);
    if (name !== undefined) names.pop();
  }

  function mutate(node: ts.Node): void {
    if (isBranch(node))
      replace('condition', node, ...(isLoopTest(node) ? ['false'] : ['true', 'false']));
    if (ts.isBinaryExpression(node)) binary(node);
    else if (node.kind === ts.SyntaxKind.TrueKeyword) replace('boolean', node, 'false');
    else if (node.kind === ts.SyntaxKind.FalseKeyword) replace('boolean', node, 'true');
    else if (ts.isStringLiteralLike(node))
      replace('string', node, node.text === '' ? "'mutant'" : "''");
    else if (ts.isTemplateExpression(node)) replace('string', node, '``');
    else if (ts.isRegularExpressionLiteral(node)) replace('regex', node, ...regexes(node.text));
    else if (ts.isArrayLiteralExpression(node)) {
      if (node.elements.length > 0) replace('array', node, '[]');
    } else if (ts.isObjectLiteralExpression(node)) {
      if (node.properties.length > 0) replace('object', node, '{}');
    } else if (ts.isPrefixUnaryExpression(node)) prefix(node);
    else if (ts.isPostfixUnaryExpression(node)) {
      const sign = node.operator === ts.SyntaxKind.PlusPlusToken ? '--' : '++';
      add('update', node.operand.end, node.end, sign);
    } else if (ts.isCaseOrDefaultClause(node)) {
      const [first] = node.statements;
      if (first !== undefined) add('case', first.getStart(source), node.end, '');
    } else if (ts.isBlock(node)) block(node);
    const dot = (node as { questionDotToken?: ts.Node }).questionDotToken;
    if (dot !== undefined)
      add(
        'optional',
        dot.getStart(source),
        dot.end,
        ts.isPropertyAccessExpression(node) ? '.' : '',
      );
  }

  function binary(node: ts.BinaryExpression): void {
    const { operatorToken } = node;
    const change = OPERATORS[operatorToken.kind];
    if (change === undefined) return;
    const [kind, ...operators] = change;
    replace(kind, operatorToken, ...operators);
  }

  function prefix(node: ts.PrefixUnaryExpression): void {
    const { operator, operand } = node;
    const start = node.getStart(source);
    const after = operand.getStart(source);
    if (operator === ts.SyntaxKind.PlusPlusToken) add('update', start, after, '--');
    else if (operator === ts.SyntaxKind.MinusMinusToken) add('update', start, after, '++');
    else if (operator === ts.SyntaxKind.MinusToken) add('unary', start, after, '+');
    else add('unary', start, after, '');
  }

  function block(node: ts.Block): void {
    if (node.statements.length === 0) return;
    add('block', node.getStart(source), node.end, '{}');
  }

  visit(source);
  return found.toSorted((a, b) => a.start - b.start || a.end - b.end);
}

/** Variants of a pattern: no anchor, no flag, an inverted class, no repetition. */
function regexes(literal: string): string[] {
  const end = literal.lastIndexOf('/');
  const pattern = literal.slice(1, end);
  const flags = literal.slice(end + 1);
  const patterns = [
    pattern.replace(/^\^/, ''),
    pattern.replace(/\$$/, ''),
    ...[...pattern.matchAll(/(?<!\\)\[\^?/g)].map(({ 0: open, index }) => {
      const turned = open === '[' ? '[^' : '[';
      return pattern.slice(0, index) + turned + pattern.slice(index + open.length);
    }),
    ...[...pattern.matchAll(/(?<=[\])])(?:[+*]|\{\d+\})/g)].map(
      ({ 0: times, index }) => pattern.slice(0, index) + pattern.slice(index + times.length),
    ),
  ];
  const literals = patterns.map((text) => `/${text}/${flags}`);
  return [...new Set([...literals, `/${pattern}/`])].filter((text) => text !== literal);
}

/** Nodes without mutants: types, imports and messages for callers. */
function isSilent(node: ts.Node): boolean {
  return (
    ts.isTypeNode(node) ||
    ts.isInterfaceDeclaration(node) ||
    ts.isTypeAliasDeclaration(node) ||
    ts.isImportDeclaration(node) ||
    ts.isExportDeclaration(node) ||
    isMessage(node)
  );
}

/**
 * The text of a TypeError, RangeError or SyntaxError: it informs the caller and is no contract. Texts of
 * protocol errors are sent to the peer and are mutated.
 */
function isMessage(node: ts.Node): boolean {
  const { parent } = node;
  return (
    (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) &&
    parent !== undefined &&
    ts.isNewExpression(parent) &&
    ts.isIdentifier(parent.expression) &&
    ['TypeError', 'RangeError', 'SyntaxError'].includes(parent.expression.text)
  );
}

/** Conditions, and operators with a boolean result. */
function isBranch(node: ts.Node): boolean {
  if (node.kind === ts.SyntaxKind.TrueKeyword || node.kind === ts.SyntaxKind.FalseKeyword)
    return false;
  const { parent } = node;
  if (parent === undefined) return false;
  if (ts.isConditionalExpression(parent) && parent.condition === node) return true;
  if (ts.isIfStatement(parent) && parent.expression === node) return true;
  if (isLoopTest(node)) return true;
  if (!ts.isBinaryExpression(node)) return false;
  const { kind } = node.operatorToken;
  const isOr = kind === ts.SyntaxKind.BarBarToken;
  const isAnd = kind === ts.SyntaxKind.AmpersandAmpersandToken;
  return isOr || isAnd || OPERATORS[kind]?.[0] === 'equality';
}

function isLoopTest(node: ts.Node): boolean {
  const { parent } = node;
  if (ts.isForStatement(parent)) return parent.condition === node;
  return (ts.isWhileStatement(parent) || ts.isDoStatement(parent)) && parent.expression === node;
}

function nameOf(node: ts.Node, source: ts.SourceFile): string | undefined {
  if (ts.isConstructorDeclaration(node)) return 'constructor';
  if (
    ts.isFunctionDeclaration(node) ||
    ts.isClassDeclaration(node) ||
    ts.isMethodDeclaration(node) ||
    ts.isAccessor(node) ||
    ts.isPropertyDeclaration(node)
  ) {
    return node.name?.getText(source);
  }
  return undefined;
}
