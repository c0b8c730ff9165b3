import { library } from '../../tools/build/tsup.ts';

export default library(
  ['src/index.ts', 'src/internal.ts', 'src/deflate/index.ts', 'src/reconnecting/index.ts'],
  'lib="esnext.disposable"',
);
