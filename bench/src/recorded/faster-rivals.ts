import { medianOf, number, type Table } from '../report/table.ts';

/** Our contenders, in this and in older results. */
const OURS: readonly string[] = ['receive', 'loop', 'ours', 'hub', 'broadcast'];
const RIVAL = /^(?:ws|bun|socket\.io)/;
const HEAD =
  'Rows where a rival is ahead. `raw`, `mini` and `bare` check nothing, so they are no rivals:';

const UNKNOWN = 'the cause is not known';

/** Why a rival may be ahead in a row. The first pair that matches counts. */
const REASONS: readonly (readonly [rival: RegExp, row: RegExp, why: string])[] = [
  [/^bun/, /./, 'its server is native code'],
  [/./, /^check UTF-8/, "it calls Node's check for every size"],
  [/./, /connections$/, 'it allocates less for a handshake'],
  [/corked/, /x 16|mixed|a turn/, 'it writes once a turn too, where its application corks'],
  [/./, /receives|do not read/, UNKNOWN],
  [/native|corked/, /KiB|MiB/, 'it unmasks large messages by native code'],
  [/./, /x 1 x|1 send|1 a turn/, 'it has less to do for a single message, such as no promise'],
  [/./, /./, UNKNOWN],
];

/**
 * For each rival and cause, the rows where the rival is visibly ahead of one of our contenders. None
 * where less is better.
 */
export function fasterRivals({ labels, series, note = '' }: Table): string[] {
  if (note.startsWith('Less')) return [];
  const own = series.filter(({ name }) => OURS.includes(name));
  const rivals = series.filter(({ name }) => RIVAL.test(name));
  const rows = new Map<string, string[]>();
  for (const rival of rivals) {
    for (const [row, label] of labels.entries()) {
      const value = medianOf(rival.values[row]) ?? 0;
      const behind = own
        .map(({ name, values }) => ({ name, mine: medianOf(values[row]) ?? Infinity }))
        .filter(({ mine }) => mine < value && number(mine) !== number(value))
        .map(({ name, mine }) => `\`${name}\` ${number(mine)}`);
      if (behind.length === 0) continue;
      const why = REASONS.find(([of, at]) => of.test(rival.name) && at.test(label))![2];
      const cause = `- \`${rival.name}\` (${why}): `;
      rows.set(cause, [
        ...(rows.get(cause) ?? []),
        `${label} ${number(value)} (${behind.join(', ')})`,
      ]);
    }
  }
  const lines = [...rows].map(([cause, places]) => `${cause}${places.join('; ')}`);
  return lines.length === 0 ? [] : [HEAD, lines.join('\n')];
}
