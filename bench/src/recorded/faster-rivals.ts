import { medianOf, number, type Table } from '../report/table.ts';

/** Our contenders, in this and in older results. */
const OURS: readonly string[] = ['receive', 'loop', 'ours'];
const RIVAL = /^(?:ws|bun)/;
const HEAD =
  'Where a rival is ahead; `raw`, `mini` and `bare` are none, because they check nothing:';

/** Why a rival may be ahead in a row. The first pair that matches counts. */
const REASONS: readonly (readonly [rival: RegExp, row: RegExp, why: string])[] = [
  [/^bun/, /./, 'its server is native code'],
  [/./, /^check UTF-8/, "it calls Node's check for every size"],
  [/./, /connections$/, 'it allocates less for a handshake'],
  [/corked/, /x 16|mixed|a turn/, 'it writes once a turn too, where its application corks'],
  [/native|corked/, /KiB|MiB/, 'it unmasks large messages by native code'],
  [/./, /x 1 x|1 send|1 a turn/, 'it has less to do for a single message, such as no promise'],
  [/./, /./, 'the cause is not known'],
];

/** The rows where a rival is visibly ahead of one of our contenders. None where less is better. */
export function fasterRivals({ labels, series, note = '' }: Table): string[] {
  if (note.startsWith('Less')) return [];
  const own = series.filter(({ name }) => OURS.includes(name));
  const rivals = series.filter(({ name }) => RIVAL.test(name));
  const lines = labels.flatMap((label, row) =>
    own.flatMap(({ name, values }) => {
      const mine = medianOf(values[row]) ?? Number.POSITIVE_INFINITY;
      return rivals.flatMap((rival) => {
        const value = medianOf(rival.values[row]) ?? 0;
        if (value <= mine || number(value) === number(mine)) return [];
        const why = REASONS.find(([of, at]) => of.test(rival.name) && at.test(label))![2];
        return [
          `- ${label}: \`${rival.name}\` ${number(value)}, \`${name}\` ${number(mine)}: ${why}`,
        ];
      });
    }),
  );
  return lines.length === 0 ? [] : [HEAD, lines.join('\n')];
}
