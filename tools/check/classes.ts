/** What a reader of a class has to know. */
export interface ClassFacts {
  readonly name: string;
  /** Lines of code. */
  readonly lines: number;
  readonly fields: number;
  /** Fields that are true or false: two of them have four states. */
  readonly flags: number;
}

const CLASS = /^(?:export )?(?:default )?(?:abstract )?class (\w+)/;
/** A member of a class, not of an object or a function within: two spaces before its name. */
const FIELD =
  /^ {2}(?:(?:private|protected|public|override|readonly|declare) )*(#?\w+)[?!]?(?:: ([^=;{]+?))?(?: = (.+?))?;?$/;
/** Statics belong to no object. */
const NO_FIELD = /^ {2}(?:static|get|set|async|return|import) /;

/** The facts of each class in `lines`, the lines of code of one file. */
export function classesOf(lines: readonly string[]): ClassFacts[] {
  const classes: ClassFacts[] = [];
  for (let i = 0; i < lines.length; i++) {
    const name = CLASS.exec(lines[i]!)?.[1];
    if (name === undefined) continue;
    const rest = lines.slice(i);
    const body = rest.slice(0, rest.findIndex((line) => line.startsWith('}')) + 1);
    const fields = body.map(fieldOf).filter((field) => field !== undefined);
    const flags = fields.filter((type) => type === 'boolean');
    classes.push({ name, lines: body.length, fields: fields.length, flags: flags.length });
  }
  return classes;
}

/** The type of a field, `boolean` for a value of true or false; undefined for another line. */
function fieldOf(line: string): string | undefined {
  const match = NO_FIELD.test(line) ? null : FIELD.exec(line);
  if (match === null) return undefined;
  const [, , type, value] = match;
  if (type !== undefined) return type.replace(/ \| undefined$/, '');
  return value === 'true' || value === 'false' ? 'boolean' : (value ?? '');
}
