import axe, { type AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';

/** The serious and critical findings of axe on a page, after all animations. */
export async function axeFaults(page: Page): Promise<string[]> {
  await page.evaluate(
    'Promise.all(document.getAnimations().map((animation) => animation.finished))',
  );
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<AxeResults>('axe.run()');
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}
