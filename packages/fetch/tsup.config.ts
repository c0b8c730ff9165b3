import { library } from '../../tools/build/tsup.ts';

export default library(
  ['src/index.ts', 'src/node.ts', 'src/bun.ts', 'src/deno.ts', 'src/workers.ts'],
  'types="node"',
);
