import ts from 'typescript';

/** The name that planted code knows {@link Meter} by. */
const METER = '__meter';

/** What planted code counts, one in each thread. */
export interface Meter {
  /** A one for each region that has run. */
  readonly hits: Uint8Array;
  /** Turns of loops. */
  turns: number;
  /** More turns than this are an endless loop. */
  limit: number;
  /** Turns of loops in a test itself, and in what it stands on. */
  testTurns: number;
  /** Whether a limit was passed. */
  endless: boolean;
  /** Ends a loop that has passed the limit. */
  readonly stop: () => never;
}

export interface Metered {
  readonly text: string;
  /** Where each region stands in the source, by its number less the first. */
  readonly regions: readonly { readonly start: number; readonly end: number }[];
}

/** No test takes as many turns; one that waits in a loop for a mutant takes them in a second. */
const TEST_TURNS = 10_000_000;

interface Insertion {
  readonly at: number;
  /** What closes stands before what opens at the same place. */
  readonly rank: 0 | 1;
  readonly text: string;
}

/**
 * Plants meters: each loop counts its turns, so that an endless one ends without a clock; and when `first` is given, each
 * statement and each branch of an expression notes that it has run, as a region numbered from `first` on. Lines stay
 * where they are.
 */
export function plantMeters(source: ts.SourceFile, first?: number): Metered {
  return plant(source, `++${METER}.turns>${METER}.limit`, first);
}

/** For the tests themselves, and what they stand on: only their loops count, by themselves. */
export function plantTestMeters(source: ts.SourceFile): string {
  return plant(source, `++${METER}.testTurns>${TEST_TURNS}`).text;
}

function plant(source: ts.SourceFile, isEndless: string, first?: number): Metered {
  const insertions: Insertion[] = [];
  const regions: { start: number; end: number }[] = [];

  function around(node: ts.Node, open: string, close: string, inner: () => void): void {
    insertions.push({ at: node.getStart(source), rank: 1, text: open });
    inner();
    insertions.push({ at: node.end, rank: 0, text: close });
  }

  function turn(body: ts.Node): string {
    return isLoop(body.parent) ? `if(${isEndless})${METER}.stop();` : '';
  }

  function note(node: ts.Node): string {
    if (first === undefined) return '';
    regions.push({ start: node.getStart(source), end: node.end });
    return `${METER}.hits[${first + regions.length - 1}]=1`;
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
  let text = `const ${METER}=globalThis.${METER};`;
  let from = 0;
  for (const { at, text: planted } of sorted) {
    text += source.text.slice(from, at) + planted;
    from = at;
  }
  return { text: text + source.text.slice(from), regions };
}

function isLoop(node: ts.Node): node is ts.IterationStatement {
  return ts.isIterationStatement(node, false);
}

/** A statement that stands alone where a block could. */
function isBody(node: ts.Node): boolean {
  const { parent } = node;
  if (!ts.isStatement(node) || ts.isBlock(node)) return false;
  if (ts.isIfStatement(parent)) return true;
  return isLoop(parent) && parent.statement === node;
}

/** A statement among others. */
function isOneOfMany(node: ts.Node): boolean {
  const { parent } = node;
  if (!ts.isStatement(node) || ts.isExportDeclaration(node)) return false;
  if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) return false;
  return ts.isBlock(parent) || ts.isSourceFile(parent) || ts.isCaseOrDefaultClause(parent);
}

/** An expression that may not run although what is around it does. */
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
