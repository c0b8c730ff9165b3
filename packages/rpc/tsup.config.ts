import { library } from '../../tools/build/tsup.ts';

export default library(
  ['src/index.ts', 'src/internal.ts', 'src/following.ts', 'src/rooms/index.ts'],
  'lib="esnext.disposable"',
);
