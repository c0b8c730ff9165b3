import process from 'node:process';

const ends = new Set<() => void>();

process.once('exit', () => {
  for (const end of ends) end();
});

/**
 * Registers what must not outlive this process: a program, a folder, a hidden cursor.
 *
 * @param end - Synchronous. It runs at the exit of the process.
 * @returns Removes it.
 */
export function atExit(end: () => void): () => void {
  ends.add(end);
  return () => void ends.delete(end);
}
