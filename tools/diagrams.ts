// Draws docs/diagrams/*.svg: node --conditions=@ws/source --import tsx tools/diagrams.ts
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { diagrams } from './diagrams/pages.ts';

const folder = join(import.meta.dirname, '../docs/diagrams');
mkdirSync(folder, { recursive: true });
for (const [name, svg] of Object.entries(diagrams())) writeFileSync(join(folder, name), svg);
