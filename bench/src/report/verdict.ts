import { medianOf, number, rangeOf, type Table, type Value } from './table.ts';

/** The contenders that are this library. */
export const OURS: readonly string[] = ['receive', 'loop', 'ours', 'hub', 'broadcast', 'compat'];
/** The rivals, and the servers that show what Node or plain JavaScript can do at most. */
const OTHERS = /^(?:ws|bun|socket\.io|raw1|bare|plain JS)/;

const HEAD =
  'Ahead of us in each row, by how many times, and the likely cause; level where the ranges overlap:';
const REST = 'No other contender is ahead in the other rows.';

/** Why another contender may be ahead of ours in a row. The first entry that matches counts. */
const REASONS: readonly (readonly [other: RegExp, ours: RegExp, row: RegExp, why: string])[] = [
  [/^bun/, /./, /./, 'native code'],
  [/^(?:raw1|bare)/, /./, /./, 'TCP without frames'],
  [/^plain JS/, /./, /./, 'no checks'],
  [/./, /./, /^check UTF-8/, "Node's own check for every size"],
  [/./, /^loop/, /idle connections/, 'a waiting loop has a promise'],
  [/./, /./, /idle connections/, 'fewer objects for a connection'],
  [/./, /./, / connections$/, 'less code for a handshake'],
  [/./, /^loop/, /[KM]iB/, 'a loop gets new memory for each message'],
  [/./, /^loop/, /./, 'a loop creates a promise and a message each time'],
  [/corked/, /./, /x 16|mixed|a turn|sends/, 'it writes once a turn too'],
  [/native|corked(?!, JS)/, /./, /[KM]iB/, 'native unmasking'],
  [/./, /./, /x 1 x|1 a turn/, 'less work for a single message'],
  [/./, /./, /./, 'the cause is not known'],
];

/**
 * Who is ahead of us in each row of a table, by how much and why, as paragraphs of Markdown. None
 * for a table that ranks nobody next to us.
 */
export function verdictOf(table: Table): string[] {
  const { labels, series, note = '' } = table;
  const less = note.startsWith('Less');
  const own = series.filter(({ name }) => OURS.includes(name));
  const others = series.filter(({ name }) => OTHERS.test(name));
  if (own.length === 0 || others.length === 0 || !(less || note.startsWith('More'))) return [];
  const lines = labels.flatMap((label, row) => {
    const behind = own.flatMap(({ name, values }) => {
      const mine = medianOf(values[row]);
      if (mine === undefined) return [];
      const better = others
        .map(({ name: other, values: theirs }) => ({ name: other, value: theirs[row] }))
        .map((other) => ({ ...other, median: medianOf(other.value) ?? mine }))
        .map((other) => ({ ...other, times: less ? mine / other.median : other.median / mine }))
        .filter(({ times }) => times > 1 && number(times) !== '1.00')
        .toSorted((a, b) => b.times - a.times);
      const ahead = better.filter(({ value }) => !overlap(value, values[row]));
      const level = better.filter((other) => !ahead.includes(other));
      const causes = new Map<string, string[]>();
      for (const other of ahead) {
        const why = reasonOf(other.name, name, label);
        const figure = `\`${other.name}\` ${number(other.times)}`;
        causes.set(why, [...(causes.get(why) ?? []), figure]);
      }
      const texts = [...causes].map(([why, figures]) => `${figures.join(', ')} (${why})`);
      if (level.length > 0) {
        texts.push(`level with ${level.map((other) => `\`${other.name}\``).join(', ')}`);
      }
      return texts.length === 0 ? [] : [`\`${name}\`: ${texts.join('; ')}`];
    });
    return behind.length === 0 ? [] : [`- ${label}. ${behind.join('. ')}.`];
  });
  if (lines.length === 0) return [];
  const measured = labels.filter((_, row) =>
    own.some(({ values }) => medianOf(values[row]) !== undefined),
  );
  return [HEAD, lines.join('\n'), ...(lines.length < measured.length ? [REST] : [])];
}

/** Whether the ranges of two values have a point in common. */
function overlap(a: Value | undefined, b: Value | undefined): boolean {
  const [one, other] = [rangeOf(a), rangeOf(b)];
  if (one === undefined || other === undefined) return false;
  return one.least <= other.most && other.least <= one.most;
}

function reasonOf(other: string, ours: string, row: string): string {
  return REASONS.find((one) => one[0].test(other) && one[1].test(ours) && one[2].test(row))![3];
}
