import ts from 'typescript';

/** Name of the global {@link Counters}. */
const COUNTERS = '__counters';

/** The counts of instrumented code, one object in each thread. */
export interface Counters {
  /** 1 for each region that has run. */
  readonly hits: Uint8Array;
  /** Loop iterations. */
  loops: number;
  /** More iterations are an endless loop. */
  limit: number;
  /** Loop iterations in tests and test helpers. */
  testLoops: number;
  /** Whether a limit was passed. */
  endless: boolean;
  /** Throws in a loop that has passed the limit. */
  readonly stop: () => never;
}

export interface Instrumented {
  readonly text: string;
  /** Position of each region in the source; index 0 is region `first`. */
  readonly regions: readonly { readonly start: number; readonly end: number }[];
}

/** More than any test needs; a test that waits in a loop reaches it within a second. */
const TEST_LOOPS = 10_000_000;

interface Insertion {
  readonly at: number;
  /** 0: closing text, inserted before opening text (1) at the same position. */
  readonly rank: 0 | 1;
  readonly text: string;
}

/**
 * Adds counters. Each loop counts its iterations, so an endless loop ends without a clock. With `first`,
 * each statement and each branch of an expression marks its region, numbered from `first`. Line numbers
 * do not change.
 */
export function instrument(source: ts.SourceFile, first?: number): Instrumented {
  return insertCounters(source, `++${COUNTERS}.loops>${COUNTERS}.limit`, first);
}

/** For tests and test helpers: counts their loops only. */
export function instrumentTest(source: ts.SourceFile): string {
  return insertCounters(source, `++${COUNTERS}.testLoops>${TEST_LOOPS}`).text;
}

function insertCounters(source: ts.SourceFile, isEndless: string, first?: number): Instrumented {
  const insertions: Insertion[] = [];
  const regions: { start: number; end: number }[] = [];

  function around(node: ts.Node, open: string, close: string, inner: () => void): void {
    insertions.push({ at: node.getStart(source), rank: 1, text: open });
    inner();
    insertions.push({ at: node.end, rank: 0, text: close });
  }

  function turn(body: ts.Node): string {
    return isLoop(body.parent) ? `if(${isEndless})${COUNTERS}.stop();` : '';
  }

  function note(node: ts.Node): string {
    if (first === undefined) return '';
    regions.push({ start: node.getStart(source), end: node.end });
    return `${COUNTERS}.hits[${first + regions.length - 1}]=1`;
  }

  function visit(node: ts.Node): void {
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node)) return;
    if (isBody(node))
      around(node, `{${turn(node)}${note(node)};`, '}', () => ts.forEachChild(node, visit));
    else if (isOneOfMany(node))
      around(node, `${note(node)};`, '', () => ts.forEachChild(node, visit));
    else if (isBranch(node) && first !== undefined) {
      around(node, `(${note(node)},(`, '))', () => ts.forEachChild(node, visit));
    } else {
      if (ts.isBlock(node) && isLoop(node.parent)) {
        insertions.push({ at: node.getStart(source) + 1, rank: 0, text: turn(node) });
      }
      ts.forEachChild(node, visit);
    }
  }

  ts.forEachChild(source, visit);
  const sorted = insertions
    .map((insertion, order) => ({ ...insertion, order }))
    .toSorted((a, b) => a.at - b.at || a.rank - b.rank || a.order - b.order);
  let text = `const ${COUNTERS}=globalThis.${COUNTERS};`;
  let from = 0;
  for (const { at, text: inserted } of sorted) {
    text += source.text.slice(from, at) + inserted;
    from = at;
  }
  return { text: text + source.text.slice(from), regions };
}

function isLoop(node: ts.Node): node is ts.IterationStatement {
  return ts.isIterationStatement(node, false);
}

/** A single statement in the place of a block. */
function isBody(node: ts.Node): boolean {
  const { parent } = node;
  if (!ts.isStatement(node) || ts.isBlock(node)) return false;
  if (ts.isIfStatement(parent)) return true;
  return isLoop(parent) && parent.statement === node;
}

/** A statement in a list of statements. */
function isOneOfMany(node: ts.Node): boolean {
  const { parent } = node;
  if (!ts.isStatement(node) || ts.isExportDeclaration(node)) return false;
  if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return false;
  return ts.isBlock(parent) || ts.isSourceFile(parent) || ts.isCaseOrDefaultClause(parent);
}

/** An expression that may not run although the expression around it runs. */
function isBranch(node: ts.Node): node is ts.Expression {
  const { parent } = node;
  if (ts.isConditionalExpression(parent))
    return node === parent.whenTrue || node === parent.whenFalse;
  if (ts.isPropertyDeclaration(parent) || ts.isParameter(parent))
    return node === parent.initializer;
  if (ts.isArrowFunction(parent)) return node === parent.body && !ts.isBlock(node);
  if (!ts.isBinaryExpression(parent) || node !== parent.right) return false;
  const { kind } = parent.operatorToken;
  return (
    kind === ts.SyntaxKind.AmpersandAmpersandToken ||
    kind === ts.SyntaxKind.BarBarToken ||
    kind === ts.SyntaxKind.QuestionQuestionToken
  );
}
