/** The part of JSON Schema that report.schema.json uses. */
export interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

/** Lists what breaks the schema, by path. */
export function schemaFaults(value: unknown, schema: Schema, path = '$'): string[] {
  if (schema.const !== undefined)
    return value === schema.const ? [] : [`${path} is not the constant`];
  if (schema.enum !== undefined)
    return schema.enum.includes(value) ? [] : [`${path} is not in the enum`];
  if (schema.type === 'array') {
    if (!Array.isArray(value)) return [`${path} is no array`];
    return value.flatMap((one, at) => schemaFaults(one, schema.items!, `${path}[${at}]`));
  }
  if (schema.type === 'object') return objectFaults(value, schema, path);
  const fits = schema.type === 'integer' ? Number.isInteger(value) : typeof value === schema.type;
  return fits ? [] : [`${path} is no ${schema.type}`];
}

function objectFaults(value: unknown, schema: Schema, path: string): string[] {
  if (typeof value !== 'object' || value === null) return [`${path} is no object`];
  const { properties = {}, required = [] } = schema;
  const missing = required.filter((name) => !Object.hasOwn(value, name));
  return [
    ...missing.map((name) => `${path}.${name} is missing`),
    ...Object.entries(value).flatMap(([name, one]) => {
      const known = properties[name];
      if (known !== undefined) return schemaFaults(one, known, `${path}.${name}`);
      return schema.additionalProperties === false ? [`${path}.${name} is unknown`] : [];
    }),
  ];
}
