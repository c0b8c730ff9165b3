import { arrow, box, line, picture, text } from './svg.ts';

/** One line of a sequence: an arrow between two participants, or a note at one of them. */
export type Step =
  | { readonly from: number; readonly to: number; readonly text: string; readonly late?: boolean }
  | { readonly at: number; readonly note: readonly string[] };

const TOP = 16;
const HEAD = 38;
const STEP = 44;
const NOTE_WIDTH = 176;

/**
 * Participants from left to right, and what they send to each other from top to bottom.
 *
 * @param gap - Pixels between two participants.
 */
export function sequence(
  title: string,
  participants: readonly string[],
  gap: number,
  steps: readonly Step[],
): string {
  const margin = NOTE_WIDTH / 2 + 8;
  const x = (index: number): number => margin + index * gap;
  const parts: string[] = [];
  let y = TOP + HEAD + 34;
  for (const step of steps) {
    if ('note' in step) {
      parts.push(
        box({ x: x(step.at) - NOTE_WIDTH / 2, y: y - 26, width: NOTE_WIDTH, lines: step.note }),
      );
      y += STEP + (step.note.length - 1) * 18 + 4;
      continue;
    }
    const [from, to] = [x(step.from), x(step.to)];
    parts.push(arrow(`M${from} ${y}H${to + (to > from ? -2 : 2)}`, step.late ? 'dashed' : 'solid'));
    parts.push(text((from + to) / 2, y - 7, step.text));
    y += STEP;
  }
  const lives = participants.map((_, i) => line(`M${x(i)} ${TOP + HEAD}V${y - 10}`));
  const heads = participants.map((name, i) =>
    box({ x: x(i) - NOTE_WIDTH / 2, y: TOP, width: NOTE_WIDTH, lines: [name] }),
  );
  const width = 2 * margin + gap * (participants.length - 1);
  return picture(title, width, y + 4, [...lives, ...heads, ...parts]);
}
