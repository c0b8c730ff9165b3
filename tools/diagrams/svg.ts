/** A box with centred lines of text. The first line is bold. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly lines: readonly string[];
}

const LINE = 18;
const PADDING = 14;
/** Width of a character in pixels, so that a text fits into its box in any font. */
const CHARACTER = 7.2;

/**
 * Colours of a light page, and of a dark one: a browser applies the colour scheme of the page to
 * its pictures.
 */
const STYLE = `<style>
text { font: 14px Helvetica, Arial, sans-serif; fill: #18181b; text-anchor: middle; }
.bold { font-weight: bold; }
.note { fill: #52525b; font-size: 13px; }
.start { text-anchor: start; }
rect { fill: #f4f4f5; stroke: #0f766e; stroke-width: 1.5; }
path { fill: none; stroke: #52525b; stroke-width: 1.5; }
path.dashed { stroke-dasharray: 5 4; }
marker path { fill: #52525b; stroke: none; }
@media (prefers-color-scheme: dark) {
  text { fill: #f4f4f5; }
  .note { fill: #c4c4cc; }
  rect { fill: #27272a; stroke: #2dd4bf; }
  path { stroke: #c4c4cc; }
  marker path { fill: #c4c4cc; stroke: none; }
}
</style>`;

const ARROW_HEAD =
  '<marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto-start-reverse"><path d="M0 0L10 5L0 10z"/></marker>';

/** @param title - What the picture shows, for people who cannot see it. */
export function picture(title: string, width: number, height: number, parts: string[]): string {
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img" aria-labelledby="title">`;
  const lines = [head, `<title id="title">${escape(title)}</title>`, STYLE, ARROW_HEAD];
  return [...lines, ...parts, '</svg>', ''].join('\n');
}

export function box({ x, y, width, lines }: Box): string {
  const longest = Math.max(...lines.map(({ length }) => length));
  if (longest * CHARACTER > width) throw new Error(`"${lines.join(' ')}" is wider than its box`);
  const frame = `<rect x="${x}" y="${y}" width="${width}" height="${heightOf(lines)}" rx="6"/>`;
  const texts = lines.map((line, i) => {
    const look = i === 0 ? ' class="bold"' : ' class="note"';
    return `<text x="${x + width / 2}" y="${y + PADDING + 9 + i * LINE}"${look}>${escape(line)}</text>`;
  });
  return [frame, ...texts].join('\n');
}

function heightOf(lines: readonly string[]): number {
  return lines.length * LINE + 2 * PADDING - 8;
}

/** A path with an arrow head at its end, such as `M0 0H100`. */
export function arrow(path: string, look: 'solid' | 'dashed' = 'solid'): string {
  const style = look === 'dashed' ? ' class="dashed"' : '';
  return `<path${style} d="${path}" marker-end="url(#arrow)"/>`;
}

export function line(path: string, look: 'solid' | 'dashed' = 'dashed'): string {
  return `<path${look === 'dashed' ? ' class="dashed"' : ''} d="${path}"/>`;
}

export function text(x: number, y: number, words: string, look = 'note'): string {
  return `<text x="${x}" y="${y}" class="${look}">${escape(words)}</text>`;
}

function escape(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
