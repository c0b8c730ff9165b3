// What people copy: no example compares a secret in a time that tells how much of it was right.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { survives } from '../../src/hostile/index.ts';
import { nothingLeft } from '../../src/peers/index.ts';

const root = join(import.meta.dirname, '../../..');
/** A header, or what is called a secret, that is compared by `===`. */
const COMPARED =
  /\b(?:authorization|cookie|token|password|secret|ticket)\)?(?:\.\w+)? ?[!=]==? ?(?!undefined|null|'')|(?<!undefined|null|'') ?[!=]==? ?(?:\w+\.)*(?:authorization|cookie|token|password|secret|ticket)\b/i;

/** Every program of examples/, and every page. */
function pages(): string[] {
  const files = ['examples', 'docs', 'packages'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
      join(root, folder, name),
    ),
  );
  return [join(root, 'README.md'), ...files]
    .filter((path) => /\.md$|examples.*\.ts$/.test(path) && !/node_modules|dist/.test(path))
    .map((path) => readFileSync(path, 'utf8'));
}

describe('a secret in an example', () => {
  nothingLeft();

  it('is compared in a time that tells nothing of it', async () => {
    const all = pages();
    const planted = ["if (req.headers.authorization === 'x') {}", 'if (expected == token) {}'];
    await survives(33, () => {
      const compared = all.filter((text) => COMPARED.test(text));
      return {
        timingSafeEqual: all.filter((text) => text.includes('timingSafeEqual(')).length,
        compared: compared.length,
        planted: planted.filter((text) => COMPARED.test(text)).length,
      };
    });
  });
});
